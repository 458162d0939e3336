import { join } from "node:path";
import {
	FolderStore,
	NO_CONSENT,
	newKey,
	type PrivateKey,
	RootTrust,
	rotateRoot,
	writeBundle,
} from "@wattvox/bundle";
import { sampleFiles, sampleMeta, temporaryDir } from "@wattvox/bundle/testing";
import {
	encode,
	type Link,
	type Reported,
	readDesired,
	topic,
} from "@wattvox/link";
import test, { type ExecutionContext } from "ava";
import { Broker } from "../broker.ts";
import { connect } from "../testing.ts";
import { listRollouts, loadRollout } from "./files.ts";
import { RolloutRunner } from "./runner.ts";
import { ROLLOUT_DEFAULTS } from "./spec.ts";
import { type PrepareRolloutOptions, prepareRollout } from "./start.ts";

const never = new AbortController().signal;
const SPEC = {
	...ROLLOUT_DEFAULTS,
	...{ fleet: "home", store: "store", previous: null, devices: null },
	...{ waves: [0.5, 1], soakMs: 0 },
};

/** Roots, and who may sign what under them. */
function roots() {
	const [root, release, fleet] = [newKey(), newKey(), newKey()];
	const created = new Date();
	const expires = new Date(created.getTime() + 3_600_000);
	const add = (
		role: "root" | "release" | "fleet",
		{ publicKey }: PrivateKey,
	) => ({
		role,
		key: publicKey,
	});
	const first = rotateRoot(
		undefined,
		{
			add: [add("root", root), add("release", release), add("fleet", fleet)],
			...{ remove: [], created, expires },
		},
		[root],
	).bytes;
	/** Another fleet key in place of the first. */
	const next = newKey();
	const remove = [{ role: "fleet", id: fleet.id } as const];
	const second = rotateRoot(
		first,
		{ add: [add("fleet", next)], remove, created, expires },
		[root],
	).bytes;
	return { first, second, release, fleet, next };
}

async function house(t: ExecutionContext) {
	const dir = await temporaryDir(t);
	const broker = await Broker.start({ port: 0 });
	t.teardown(() => broker.stop());
	const r = roots();
	const bundle = async (name: string, part = {}) => {
		const path = join(dir, name);
		const meta = { ...sampleMeta(name), ...part };
		await writeBundle(path, sampleFiles({ voice: name }), meta, r.release);
		return path;
	};
	const options = (
		bundleDir: string,
		part: Partial<PrepareRolloutOptions> = {},
	): PrepareRolloutOptions => ({
		...{ dir: join(dir, "rollouts"), bundleDir, key: r.next },
		...{ store: new FolderStore(join(dir, "store")), roots: r.second },
		broker: { url: broker.url },
		...part,
	});
	/** A device that was set up with the first root, and does as it is told. */
	const device = async (
		name: string,
		told: string[],
		part: Partial<Reported> = {},
	): Promise<Link> => {
		const trust = RootTrust.open(r.first);
		const link = await connect(broker.url, name);
		t.teardown(() => link.stop());
		const say = (bundle: string | null, revision: number | null) =>
			link.publish(
				topic("home", name, "reported"),
				encode({
					...{ v: 1, bundle, revision, state: "active" },
					...{ deviceClass: "nano", at: new Date().toISOString() },
					...part,
				}),
				{ qos: 1, retain: true },
			);
		await link.subscribe(topic("home", name, "root"), (_, payload) => {
			trust.update(payload);
		});
		await link.subscribe(topic("home", name, "desired"), (_, payload) => {
			const to = { fleet: "home", device: name };
			const { desired, signer } = readDesired(payload, to, trust);
			told.push(signer);
			void say(desired.bundle, desired.revision);
		});
		await say(null, null);
		return link;
	};
	return { ...r, dir, bundle, options, device };
}

test("under roots: devices hear of the newest root first, then what its fleet key signed", async (t) => {
	t.timeout(300_000);
	const h = await house(t);
	const told: string[] = [];
	for (const name of ["d1", "d2", "d3"]) await h.device(name, told);
	const options = h.options(await h.bundle("ada"));
	const state = await prepareRollout({ ...SPEC, id: "r1" }, options, never);
	t.deepEqual(
		Object.values(state.devices)
			.map((p) => p.wave)
			.sort(),
		[0, 0, 1],
		"the fleet was looked at first: the canary is no empty wave",
	);
	const { dir, broker } = options;
	const run = (key: PrivateKey, roots: Uint8Array) =>
		new RolloutRunner(state, { dir, broker, key, roots, tickMs: 5 }).run(never);
	await t.throwsAsync(run(h.fleet, h.second), { code: "E_KEY" });
	const ended = await run(h.next, h.second);
	t.is(ended.status, "done");
	t.deepEqual(told, [h.next.id, h.next.id, h.next.id]);
});

test("a rollout that cannot go well is refused before anything is told or left behind", async (t) => {
	t.timeout(300_000);
	const h = await house(t);
	const good = await h.bundle("ada");
	const refused = async (
		code: string,
		message: RegExp,
		options: PrepareRolloutOptions,
		part: Partial<typeof SPEC> = {},
	) => {
		const made = prepareRollout({ ...SPEC, ...part } as never, options, never);
		await t.throwsAsync(made, { code, message });
	};
	await refused("E_USAGE", /heard of no device/, h.options(good));
	const told: string[] = [];
	await h.device("d1", told);
	const { options } = h;
	const old = {
		created: "2020-01-01T00:00:00Z",
		expires: "2021-01-01T00:00:00Z",
	};
	await refused(
		"E_EXPIRED",
		/expired on 2021/,
		options(await h.bundle("old", old)),
	);
	const mute = await h.bundle("mute", { consent: { statement: NO_CONSENT } });
	await refused("E_CONSENT", /agreed to/, options(mute));
	await refused("E_KEY", /not a fleet key/, options(good, { key: h.fleet }));
	await refused("E_KEY", /not a fleet key/, options(good, { key: h.release }));
	await refused("E_USAGE", /to go back to/, options(good), {
		previous: "b".repeat(64) as never,
	});
	await refused(
		"E_USAGE",
		/no device is of|no device of .* is of class agx; there are nano/,
		options(good),
		{
			classes: ["agx"],
		},
	);
	await refused("E_USAGE", /no device has a sensor/, options(good), {
		requireEnergy: true,
	});
	t.deepEqual(told, []);
	t.deepEqual(await listRollouts(join(h.dir, "rollouts")), []);
	const taken = options(mute, { withoutConsent: true });
	const state = await prepareRollout({ ...SPEC, id: "r1" }, taken, never);
	t.deepEqual(Object.keys(state.devices), ["d1"]);
	await refused("E_BUSY", /rollout r1 of fleet home is running/, options(good));
	await refused("E_USAGE", /there is a rollout r1/, options(good), {
		id: "r1",
	} as never);
	t.is((await loadRollout(join(h.dir, "rollouts"), "r1")).status, "running");
});

test("a rollout that wants engines does not start while a target class lacks one", async (t) => {
	t.timeout(300_000);
	const h = await house(t);
	const told: string[] = [];
	const runtime = { name: "tensorrt" } as const;
	await h.device("d1", told, { runtime });
	await h.device("d2", told, { runtime, deviceClass: "agx" });
	const bundle = await h.bundle("ada");
	const builders: boolean[] = [];
	const start = (id: string, built: string[], classes: string[] | null) =>
		prepareRollout(
			{ ...SPEC, id, classes },
			h.options(bundle, {
				engines: async (trust) => {
					builders.push(trust.find(h.next.id, "desired") !== undefined);
					return new Set(built);
				},
			}),
			never,
		);
	const lacks = { code: "E_USAGE", message: /for device class agx:/ };
	await t.throwsAsync(start("r1", ["nano"], null), lacks);
	t.deepEqual(await listRollouts(join(h.dir, "rollouts")), []);
	t.deepEqual(told, []);
	const { devices } = await start("r2", ["nano"], ["nano"]);
	t.deepEqual(Object.keys(devices), ["d1"]);
	t.deepEqual(builders, [true, true], "the trust is that of the roots");
});
