import { join } from "node:path";
import { FolderStore } from "@wattvox/bundle";
import { sampleEngine, temporaryDir } from "@wattvox/bundle/testing";
import {
	filter,
	type Link,
	type LinkOptions,
	offerEngine,
	pullBundle,
	topic,
} from "@wattvox/link";
import test, { type ExecutionContext } from "ava";
import { StoreServer } from "./store-server.ts";
import { connect, makeSample } from "./testing.ts";
import { makeAuthority } from "./testing-certificates.ts";
import {
	GUARDED,
	type GuardedKind,
	type GuardedSetup,
} from "./testing-guarded.ts";

type Way = Pick<GuardedSetup, "scheme" | "certificates">;

const WAYS: readonly Way[] = [
	{ scheme: "mqtt", certificates: false },
	{ scheme: "mqtts", certificates: false },
	{ scheme: "mqtts", certificates: true },
	{ scheme: "ws", certificates: false },
	{ scheme: "wss", certificates: false },
	{ scheme: "wss", certificates: true },
];

const passwords = {
	"jetson-1": "sesame1",
	"jetson-2": "sesame2",
	store: "granary",
	server: "steward",
	publisher: "herald",
};

async function contract(t: ExecutionContext, kind: GuardedKind, way: Way) {
	t.timeout(180_000);
	const dir = await temporaryDir(t);
	const authority = await makeAuthority(join(dir, "pki"));
	const broker = await kind.make({
		dir: join(dir, "broker"),
		passwords,
		authority,
		...way,
	});
	t.teardown(() => broker.stop());
	const proof = async (
		user: keyof typeof passwords,
	): Promise<Partial<LinkOptions>> => {
		const { ca } = authority;
		if (!way.certificates)
			return { username: user, password: passwords[user], tls: { ca } };
		const { cert, key } = await authority.client(user);
		return { tls: { ca, cert, key } };
	};
	const join_ = async (user: keyof typeof passwords, id: string = user) => {
		const link = await connect(broker.url, id, await proof(user));
		t.teardown(() => link.stop());
		return link;
	};

	const publisher = await join_("publisher", "publish-1");
	const desired = topic("home", "jetson-1", "desired");
	const body = Buffer.from("wish");
	await publisher.publish(desired, body, { qos: 1, retain: true });
	const device = await join_("jetson-1");
	const heard = await new Promise<string>((resolve, reject) => {
		device
			.subscribe(desired, (_, payload) => resolve(payload.toString()))
			.catch(reject);
	});
	t.is(heard, "wish");

	// `fleet serve` has one account: it serves the store, and hears what devices tell
	const collector = await join_("server", "collector");
	const power = topic("home", "jetson-1", "power");
	const told = new Promise<string>((resolve, reject) => {
		collector
			.subscribe(filter("power", "home"), (_, payload) =>
				resolve(payload.toString()),
			)
			.then(() => device.publish(power, Buffer.from("joules"), { qos: 1 }))
			.catch(reject);
	});
	t.is(await told, "joules");

	const sample = await makeSample(dir, { decoderBytes: 1000 });
	const { source, trust } = sample;
	const server = new StoreServer({
		source,
		fleet: "home",
		engines: { shelf: source.engines, trust: async () => trust },
		broker: { url: broker.url, ...(await proof("server")) },
	});
	await server.start();
	t.teardown(() => server.stop());
	const into = new FolderStore(join(dir, "device"));
	const result = await pullBundle({
		link: device,
		fleet: "home",
		device: "jetson-1",
		store: "store",
		digest: sample.digest,
		into,
		trust: sample.trust,
	});
	t.is(result.counters.blocks, sample.blocks + 1);

	const made = sampleEngine(sample.key);
	const said = await offerEngine({
		...{ link: device, fleet: "home", device: "jetson-1", store: "store" },
		name: made.name,
		source: {
			readEngine: async () => made.head,
			readBlock: async (_, i) => made.plan.subarray(i << 16, (i + 1) << 16),
		},
	});
	t.true(said.held);

	const nobody: Partial<LinkOptions> = way.certificates
		? { tls: { ca: authority.ca } }
		: { username: "jetson-1", password: "guess", tls: { ca: authority.ca } };
	await t.throwsAsync(
		connect(broker.url, "jetson-9", { ...nobody, connectTimeoutMs: 800 }),
		{ code: "E_BROKER" },
	);
	if (way.scheme === "mqtts" || way.scheme === "wss")
		await t.throwsAsync(
			connect(broker.url, "jetson-9", {
				...(await proof("jetson-2")),
				tls: {},
				connectTimeoutMs: 800,
			}),
			{ code: "E_BROKER" },
			"a broker that no known authority vouches for",
		);
	if (!kind.acl) return;
	const other = await join_("jetson-2");
	await confined(t, other, publisher);
	await noStation(t, other, device, await join_("store", "store-2"));
}

/** A device that tries another's topics is refused, whatever the way in which its broker says so. */
async function confined(
	t: ExecutionContext,
	device: Awaited<ReturnType<typeof connect>>,
	publisher: Awaited<ReturnType<typeof connect>>,
) {
	const heard: string[] = [];
	for (const filter of [
		topic("home", "jetson-1", "desired"),
		"wattvox/v1/home/+/desired",
		"wattvox/#",
		"#",
	])
		await device
			.subscribe(filter, (name) => heard.push(name))
			.catch(() => undefined);
	const forged: string[] = [];
	const reported = topic("home", "jetson-1", "reported");
	await publisher.subscribe(reported, (name) => forged.push(name));
	await device
		.publish(reported, Buffer.from("lie"), { qos: 0 })
		.catch(() => undefined);
	// its own are open; a broker that throws out who tried another's lets it in again
	await device.whenReady();
	const mine = topic("home", "jetson-2", "power");
	await device.publish(mine, Buffer.from("1"), { qos: 1 });
	const own = new Promise<void>((resolve, reject) => {
		device
			.subscribe(topic("home", "jetson-2", "desired"), () => resolve())
			.catch(reject);
	});
	const wish = Buffer.from("x");
	await publisher.publish(topic("home", "jetson-1", "desired"), wish, {
		qos: 1,
	});
	await publisher.publish(topic("home", "jetson-2", "desired"), wish, {
		qos: 1,
		retain: true,
	});
	await own;
	t.deepEqual(
		heard.filter((name) => !name.includes("/jetson-2/")),
		[],
	);
	t.deepEqual(forged, []);
}

/** A device that is no build station brings nothing to the store, under its own name or a station's. */
async function noStation(
	t: ExecutionContext,
	device: Link,
	station: Link,
	store: Link,
) {
	const heard: string[] = [];
	let last = () => {};
	const end = new Promise<void>((resolve) => {
		last = resolve;
	});
	for (const kind of ["offer", "upload"] as const)
		await store.subscribe(`wattvox/v1/home/+/${kind}`, (name, payload) => {
			heard.push(`${name} ${payload}`);
			if (payload.toString() === "last") last();
		});
	const asked: string[] = [];
	const ids = ["jetson-1", "jetson-2"];
	for (const id of ids)
		for (const kind of ["collect", "verdict"] as const)
			await device
				.subscribe(topic("home", id, kind), (name) => asked.push(name))
				.catch(() => undefined);
	for (const id of ids)
		for (const kind of ["offer", "upload"] as const) {
			await device.whenReady();
			await device
				.publish(topic("home", id, kind), Buffer.from("lie"))
				.catch(() => undefined);
			// comes after it, on this connection or, where the broker threw it out, on the next
			const power = topic("home", "jetson-2", "power");
			await device.publish(power, Buffer.from("1"), { qos: 1 });
		}
	const verdict = topic("home", "jetson-1", "verdict");
	await store.publish(verdict, Buffer.from("x"), { qos: 1 });
	const offer = topic("home", "jetson-1", "offer");
	await station.publish(offer, Buffer.from("last"), { qos: 1 });
	await end;
	t.deepEqual(heard, [`${offer} last`]);
	t.deepEqual(asked, []);
}

for (const kind of GUARDED)
	for (const way of WAYS) {
		const how = way.certificates ? "client certificates" : "passwords";
		const name = `${kind.name} over ${way.scheme} with ${how}`;
		if (kind.missing)
			test.skip(`${name} (skipped: ${kind.missing})`, () => undefined);
		else if (kind.schemes.includes(way.scheme))
			test.serial(name, (t) => contract(t, kind, way));
	}
