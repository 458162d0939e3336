import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { FolderStore } from "@wattvox/bundle";
import { temporaryDir } from "@wattvox/bundle/testing";
import {
	decode,
	filter,
	Link,
	type Presence,
	pullBundle,
	topic,
	zPresence,
} from "@wattvox/link";
import test, { type ExecutionContext } from "ava";
import { Broker } from "./broker.ts";
import { StoreServer } from "./store-server.ts";
import { connect, makeSample } from "./testing.ts";
import { BROKERS, type BrokerKind, cuttable } from "./testing-brokers.ts";
import { SECURE } from "./testing-secure.ts";

/** Messages on a filter, and a way to wait for one. */
async function listen(link: Link, on: string) {
	const got: { name: string; text: string; retained: boolean }[] = [];
	let wake: () => void = () => undefined;
	await link.subscribe(on, (name, payload, retained) => {
		got.push({ name, text: payload.toString(), retained });
		wake();
	});
	return {
		got,
		async until(found: () => boolean) {
			while (!found())
				await new Promise<void>((resolve) => {
					wake = resolve;
				});
		},
	};
}

function contract(kind: BrokerKind): void {
	const check = (
		title: string,
		body: (t: ExecutionContext, dir: string) => Promise<void>,
	) => {
		const name = `${kind.name}: ${title}`;
		if (kind.missing)
			test.skip(`${name} (skipped: ${kind.missing})`, () => undefined);
		else
			test(name, async (t) => {
				t.timeout(180_000);
				await body(t, await temporaryDir(t));
			});
	};
	const start = async (t: ExecutionContext, dir: string) => {
		const broker = await kind.make(join(dir, "broker"));
		t.teardown(() => broker.stop());
		const account = async (user: string) => broker.account?.(user) ?? {};
		const join_ = async (
			id: string,
			options: Parameters<typeof connect>[2] = {},
			url = broker.url,
		) => {
			const all = { ...(await account(id)), ...options };
			const link = await connect(url, id, all);
			t.teardown(() => link.stop());
			return link;
		};
		return { broker, account, join: join_ };
	};

	check("a retained message waits for who comes later", async (t, dir) => {
		const b = await start(t, dir);
		const fleet = await b.join("fleet");
		const name = topic("home", "jetson-1", "desired");
		await fleet.publish(name, Buffer.from("old"), { qos: 1, retain: true });
		await fleet.publish(name, Buffer.from("new"), { qos: 1, retain: true });
		const heard = await listen(await b.join("jetson-1"), name);
		await heard.until(() => heard.got.length > 0);
		t.deepEqual(heard.got, [{ name, text: "new", retained: true }]);
	});

	check(
		"presence: online, the will when cut, online again, goodbye",
		async (t, dir) => {
			const b = await start(t, dir);
			const heard = await listen(await b.join("fleet"), filter("presence"));
			const seen = () =>
				heard.got.map(
					(m) => decode(zPresence, Buffer.from(m.text)) as Presence,
				);
			const proxy = await cuttable(b.broker.url);
			t.teardown(() => proxy.stop());
			const presence = { fleet: "home", device: "jetson-1" };
			const device = await b.join("jetson-1", { presence }, proxy.url);
			await heard.until(() => seen().some((p) => p.online));
			const first = seen()[0]?.session ?? 0;
			proxy.cut();
			await device.whenReady();
			await heard.until(() =>
				seen().some((p) => p.online && p.session > first),
			);
			await heard.until(() => seen().some((p) => !p.online));
			t.true(
				seen().some((p) => !p.online && p.session === first),
				"the will names the session that ended",
			);
			const latest = Math.max(...seen().map((p) => p.session));
			await device.stop();
			await heard.until(() =>
				seen().some((p) => !p.online && p.session === latest),
			);
			t.is(seen().at(-1)?.online, false);
		},
	);

	check(
		"what waits for the broker is delivered when it is back, and is bounded",
		async (t, dir) => {
			const b = await start(t, dir);
			const hub = await b.join("fleet");
			const heard = await listen(hub, filter("power"));
			const device = await b.join("jetson-1", { queueLimit: 3 });
			const name = topic("home", "jetson-1", "power");
			const lost = new Promise<void>((resolve) => device.onLost(resolve));
			await b.broker.stop();
			await lost;
			await t.throwsAsync(device.publish(name, Buffer.from("0")), {
				code: "E_BROKER",
			});
			const waiting = ["1", "2", "3"].map((text) =>
				device.publish(name, Buffer.from(text), { qos: 1 }),
			);
			await t.throwsAsync(device.publish(name, Buffer.from("4"), { qos: 1 }), {
				code: "E_BUSY",
			});
			await b.broker.start();
			await Promise.all([...waiting, hub.whenReady()]);
			// the hub may have come back after the first ones; a last one it must hear
			await device.publish(name, Buffer.from("5"), { qos: 1 });
			await heard.until(() => heard.got.some((m) => m.text === "5"));
			t.false(heard.got.some((m) => m.text === "0" || m.text === "4"));
		},
	);

	check(
		"what its handlers are not done with is kept for a persistent session, the rest is not",
		async (t, dir) => {
			const b = await start(t, dir);
			const device = await b.join("jetson-1");
			const name = topic("home", "jetson-1", "power");
			const proof = await b.account("hub");
			const hub = new Link({
				...{ ...proof, url: b.broker.url, clientId: "hub", persistent: true },
				...{ unacknowledgedLimit: 3, connectTimeoutMs: 60_000 },
			});
			t.teardown(() => hub.stop());
			const first = new Map<string, () => void>();
			let wake: () => void = () => undefined;
			await hub.subscribe(filter("power"), (_, payload) => {
				const text = payload.toString();
				if (text === "3") return Promise.reject(new Error("no room"));
				return new Promise<void>((resolve) => {
					first.set(text, resolve);
					wake();
				});
			});
			await hub.start();
			for (const text of ["1", "2", "3", "4", "5"])
				await device.publish(name, Buffer.from(text), { qos: 1 });
			const until = async (text: string) => {
				while (!first.has(text))
					await new Promise<void>((resolve) => {
						wake = resolve;
					});
			};
			await until("2");
			t.false(first.has("4"), "three at a time");
			// done with out of order: it leaves after the first
			first.get("2")?.();
			first.get("1")?.();
			await until("5");
			first.get("4")?.();
			// acknowledgements leave together, a turn later
			await setImmediate();
			await setImmediate();
			// once this is acknowledged, the broker has read the acknowledgements before it
			const barrier = topic("home", "jetson-1", "verdict");
			await hub.publish(barrier, Buffer.from("-"), { qos: 1 });
			await hub.stop();
			const again = new Link({
				...{ ...proof, url: b.broker.url, clientId: "hub", persistent: true },
				connectTimeoutMs: 60_000,
			});
			t.teardown(() => again.stop());
			const heard = await listen(again, filter("power"));
			await again.start();
			const has = (text: string) => heard.got.some((m) => m.text === text);
			await heard.until(() => has("3") && has("5"));
			await device.publish(name, Buffer.from("6"), { qos: 1 });
			await heard.until(() => has("6"));
			t.deepEqual(heard.got.map((m) => m.text).sort(), ["3", "5", "6"]);
		},
	);

	check("a message over the limit never leaves", async (t, dir) => {
		const b = await start(t, dir);
		const device = await b.join("jetson-1", { payloadLimit: 1000 });
		const name = topic("home", "jetson-1", "power");
		await t.throwsAsync(device.publish(name, Buffer.alloc(1001), { qos: 1 }), {
			code: "E_USAGE",
		});
		t.is(device.counters.lost, 0);
	});

	check(
		"a bundle is pulled whole, across a restart of the broker, with at most one window twice",
		async (t, dir) => {
			const b = await start(t, dir);
			const sample = await makeSample(dir, { decoderBytes: 1_500_000 });
			const server = new StoreServer({
				source: sample.source,
				broker: {
					...{ url: b.broker.url, reconnectMs: { base: 20, max: 100 } },
					...(await b.account("store")),
				},
			});
			await server.start();
			t.teardown(() => server.stop());
			const link = await b.join("jetson-1");
			const window = 4;
			let outage: Promise<void> | undefined;
			const into = new FolderStore(join(dir, "device"));
			const result = await pullBundle({
				link,
				fleet: "home",
				device: "jetson-1",
				store: "store",
				digest: sample.digest,
				into,
				trust: sample.trust,
				window,
				stallMs: 2000,
				onProgress(done, total) {
					if (done > total / 2)
						outage ??= b.broker.stop().then(() => b.broker.start());
				},
			});
			await outage;
			t.true(result.counters.lost >= 1);
			const twice = (server.counters?.blocks ?? 0) - (sample.blocks + 1);
			t.true(twice <= window, `${twice} blocks sent twice`);
			await into.checkout(sample.digest, join(dir, "voice"), sample.trust);
		},
	);
}

for (const kind of [...BROKERS, ...SECURE]) contract(kind);

test("the embedded broker holds clients to its access rules", async (t) => {
	const mine = (id: string, name: string) => name.split("/")[3] === id;
	const broker = await Broker.start({
		port: 0,
		access: {
			connect: (_, username, password) =>
				username === "u" && password?.toString() === "sesame",
			publish: mine,
			subscribe: mine,
		},
	});
	t.teardown(() => broker.stop());
	const error = await t.throwsAsync(
		connect(broker.url, "jetson-1", { username: "u", password: "wrong" }),
		{ code: "E_BROKER" },
	);
	t.notRegex(String(error?.stack), /wrong/);
	const device = await connect(broker.url, "jetson-1", {
		username: "u",
		password: "sesame",
	});
	t.teardown(() => device.stop());
	await t.notThrowsAsync(
		device.subscribe(topic("home", "jetson-1", "desired"), () => undefined),
	);
	await t.throwsAsync(
		device.subscribe(topic("home", "jetson-2", "desired"), () => undefined),
		{ code: "E_DENIED" },
	);
	t.true(device.ready);
});

test("the embedded broker stays on loopback unless it has access rules", async (t) => {
	await t.throwsAsync(Broker.start({ host: "0.0.0.0", port: 0 }), {
		code: "E_USAGE",
	});
	const first = await Broker.start({ port: 0 });
	t.teardown(() => first.stop());
	await t.throwsAsync(Broker.start({ port: first.port }), { code: "E_BROKER" });
	await first.stop();
	await first.stop();
});

test("no broker at all ends with E_BROKER in the time given", async (t) => {
	const broker = await Broker.start({ port: 0 });
	await broker.stop();
	await t.throwsAsync(connect(broker.url, "x", { connectTimeoutMs: 200 }), {
		code: "E_BROKER",
		// a machine too busy to be refused in time says that instead
		message: /ECONNREFUSED|timeout/,
	});
	const signal = AbortSignal.abort(new Error("enough"));
	const link = new Link({ url: broker.url, clientId: "x" });
	await t.throwsAsync(link.start(signal), { message: "enough" });
	await link.stop();
});
