import { setImmediate } from "node:timers/promises";
import { temporaryDir } from "@wattvox/bundle/testing";
import {
	encode,
	Link,
	type PowerMessage,
	topic,
	type UtterancesMessage,
} from "@wattvox/link";
import test from "ava";
import fc from "fast-check";
import { Broker } from "./broker.ts";
import { Collector, type PowerFeed } from "./collector.ts";
import { powerStore } from "./power/open.ts";
import { type PowerPoint, plausibleTime, toPoint } from "./power/point.ts";
import type { PowerStore } from "./power/store.ts";
import type { UtteranceBatch } from "./power/utterance.ts";
import { formatPowerTable, powerTable } from "./power-table.ts";

const VOICE = "a".repeat(64);

function message(part: Partial<PowerMessage> = {}): PowerMessage {
	return {
		v: 1,
		device: "nano",
		boot: "b1",
		sequence: 0,
		millijoules: 60_000,
		speechMillijoules: 8_000,
		measured: true,
		sensor: "ina3221",
		utterances: 4,
		audioSeconds: 10,
		computeSeconds: 1,
		voice: VOICE,
		at: "2026-02-03T04:05:06.000Z",
		...part,
	};
}

function spoken(n: number[], lost = 0): UtterancesMessage {
	const { boot, voice, measured, sensor, at } = message();
	return {
		...{ v: 1, device: "nano", deviceClass: "orin-nano", log: "l1" },
		lost: { utterances: lost, readings: 0, boots: 0, damaged: 0 },
		records: n.map((n) => ({
			...{ boot, n, voice, measured, sensor, at, whole: true },
			...{ audioSeconds: 2, computeSeconds: 0.1, firstSoundMs: 40.4 },
			millijoules: 700,
		})),
	};
}

/** A feed that tests speak into. */
function feed() {
	let handler: Parameters<PowerFeed["subscribe"]>[1] | undefined;
	return {
		subscribe: async (_: string, h: typeof handler) => {
			handler = h;
			return async () => {
				handler = undefined;
			};
		},
		say: (part: Partial<PowerMessage> = {}, device = part.device ?? "nano") =>
			handler?.(topic("home", device, "power"), encode(message(part))),
		spoke: (n: number[], lost = 0, device = "nano") =>
			handler?.(topic("home", device, "utterances"), encode(spoken(n, lost))),
	};
}

/** A store that keeps what it is given, and fails as often as it is told. */
function memory(failures = 0) {
	const points: PowerPoint[] = [];
	const batches: UtteranceBatch[] = [];
	return {
		points,
		batches,
		failures,
		async writeUtterances(batch: UtteranceBatch) {
			await setImmediate();
			if (this.failures-- > 0) throw new Error("disk on fire");
			batches.push(batch);
		},
		async write(batch: readonly PowerPoint[]) {
			await setImmediate();
			if (this.failures-- > 0) throw new Error("disk on fire");
			points.push(...batch);
		},
	};
}

test("reports reach the store in batches, the newest of each boot and minute", async (t) => {
	const link = feed();
	const store = memory();
	const collector = new Collector({ link, store, flushMs: 60_000 });
	await collector.start();
	link.say({ sequence: 1, millijoules: 100 });
	link.say({ sequence: 3, millijoules: 300 });
	link.say({ sequence: 2, millijoules: 200 });
	link.say({ boot: "b2", millijoules: 7 });
	t.is(collector.pending, 2);
	await collector.flush();
	t.deepEqual(
		store.points.map((p) => [p.boot, p.sequence, p.millijoules]),
		[
			["b1", 3, 300],
			["b2", 0, 7],
		],
	);
	await collector.stop();
	await collector.stop();
	t.like(collector.counters, { received: 4, batches: 1, written: 2 });
});

test("what is no report, or speaks for another device, is counted and dropped", async (t) => {
	const link = feed();
	const store = memory();
	const collector = new Collector({ link, store });
	await collector.start();
	link.say({}, "other");
	link.say({ millijoules: 1e300 });
	link.say({ sequence: -1 });
	t.is(collector.counters.ignored, 3);
	await collector.stop();
	t.deepEqual(store.points, []);
});

test("a batch that fails is written again, with what came since", async (t) => {
	const link = feed();
	const store = memory(2);
	const errors: string[] = [];
	const collector = new Collector({
		...{ link, store, flushMs: 0 },
		onError: (error) => errors.push(error.message),
	});
	await collector.start();
	link.say({ sequence: 1, millijoules: 1 });
	const flushed = collector.flush();
	await setImmediate();
	link.say({ sequence: 2, millijoules: 2 });
	await flushed;
	await collector.stop();
	t.deepEqual(errors, ["disk on fire", "disk on fire"]);
	t.is(Math.max(...store.points.map((p) => p.millijoules ?? 0)), 2);
});

test("a report is acknowledged when the store has it, however often that takes", async (t) => {
	const link = feed();
	const store = memory(1);
	const collector = new Collector({ link, store, flushMs: 0 });
	await collector.start();
	const order: string[] = [];
	const told = (name: string) => () => order.push(name);
	const acknowledged = [
		Promise.resolve(link.say({ boot: "a" })).then(told("a")),
	];
	const flushed = collector.flush().then(told("flushed"));
	await setImmediate();
	await setImmediate();
	acknowledged.push(Promise.resolve(link.say({ boot: "b" })).then(told("b")));
	t.deepEqual(order, []);
	await Promise.all([...acknowledged, flushed]);
	t.deepEqual(order.sort(), ["a", "b", "flushed"]);
	t.is(store.points.length, 2);
	t.is(await link.say({}, "other"), undefined, "no report: nobody waits");
	await collector.stop();
});

test("utterances are acknowledged when the store has them; what comes twice waits once", async (t) => {
	const link = feed();
	// the readings are written, then the utterances fail once
	const store = memory();
	const collector = new Collector({ link, store, flushMs: 60_000 });
	await collector.start();
	const order: string[] = [];
	const acknowledged = Promise.resolve(link.spoke([0, 1], 3)).then(() =>
		order.push("acknowledged"),
	);
	link.spoke([1, 2], 2);
	link.spoke([7], 0, "other");
	t.is(collector.pending, 3);
	t.like(collector.counters, { received: 2, ignored: 1 });
	store.failures = 2;
	const flushed = collector.flush();
	await setImmediate();
	link.spoke([3], 5);
	t.deepEqual(order, []);
	await flushed;
	await acknowledged;
	await collector.stop();
	const all = store.batches.flatMap((b) => b.utterances.map((u) => u.n));
	t.deepEqual(all.sort(), [0, 1, 2, 3]);
	t.like(store.batches[0]?.utterances[0], {
		...{ fleet: "home", device: "nano", deviceClass: "orin-nano" },
		at: Date.parse(message().at),
	});
	const most = store.batches.flatMap((b) => b.losses).at(-1);
	t.like(most, { log: "l1", lost: { utterances: 5 } });
	// a loss alone is written too
	await collector.start();
	const told = link.spoke([], 6);
	await collector.flush();
	await told;
	t.is(store.batches.at(-1)?.losses[0]?.lost.utterances, 6);
	await collector.stop();
});

test("silence ends a batch before its time", async (t) => {
	const link = feed();
	const store = memory();
	const collector = new Collector({ link, store, flushMs: 3_600_000 });
	await collector.start();
	await link.say();
	t.is(store.points.length, 1);
	await collector.stop();
});

test("a feed that keeps what comes is not unsubscribed from, and what comes late is not acknowledged", async (t) => {
	const link = { ...feed(), persistent: true };
	const store = memory();
	const collector = new Collector({ link, store });
	await collector.start();
	await collector.stop();
	const late = link.say() as Promise<void>;
	t.is(await Promise.race([late, setImmediate("kept")]), "kept");
	await collector.start();
	await link.say();
	t.is(store.points.length, 1);
	await collector.stop();
});

test("a store that never answers does not keep a collector from stopping, and it says so", async (t) => {
	const link = feed();
	const never = () => new Promise<void>(() => undefined);
	const store = { write: never, writeUtterances: never };
	const collector = new Collector({ link, store, stopMs: 5 });
	await collector.start();
	link.say();
	await t.throwsAsync(collector.stop());
});

test("through a broker, over restarts of collector and store: exact to the millijoule", async (t) => {
	t.timeout(300_000);
	const dir = await temporaryDir(t);
	const broker = await Broker.start({ port: 0 });
	t.teardown(() => broker.stop());
	const device = new Link({
		url: broker.url,
		clientId: "nano",
		connectTimeoutMs: 60_000,
	});
	await device.start();
	t.teardown(() => device.stop());
	let mj = 0;
	let sequence = 0;
	const send = async (times: number) => {
		for (let i = 0; i < times; i++) {
			mj += 1237 + i;
			const report = message({ sequence: sequence++, millijoules: mj });
			await device.publish(topic("home", "nano", "power"), encode(report), {
				qos: 1,
			});
		}
	};
	let joules: number | null | undefined;
	for (let life = 0; life < 3; life++) {
		const store = powerStore(dir);
		await store.start();
		const link = new Link({
			...{ url: broker.url, clientId: "collector", persistent: true },
			connectTimeoutMs: 60_000,
		});
		let newest = -1;
		const collector = new Collector({
			...{ link, store, flushMs: 5 },
			onPoint: (p) => {
				newest = Math.max(newest, p.sequence);
			},
		});
		// the handler first: what the broker kept comes with the connection
		await collector.start();
		await link.start();
		await send(20);
		if (life === 2) while (newest < sequence - 1) await setImmediate();
		await link.stop();
		await collector.stop();
		joules = (await powerTable(store)).total.joules;
		await store.stop();
		if (life < 2) await send(5);
	}
	t.is(joules, mj / 1000);
});

test("a report is booked at its own time, unless its clock cannot be right", (t) => {
	const now = Date.UTC(2026, 5, 1);
	t.is(plausibleTime(now - 9e8, now), now - 9e8);
	t.is(plausibleTime(now + 1, now), now);
	t.is(plausibleTime(0, now), now);
	t.is(plausibleTime(Number.NaN, now), now);
	fc.assert(
		fc.property(
			fc.double({ min: 0, max: 1e12, noNaN: true }),
			(millijoules) => {
				const point = toPoint(message({ millijoules }), "home", now);
				t.is(point?.millijoules, Math.round(millijoules));
			},
		),
	);
});

async function tableOf(
	t: { teardown(fn: () => Promise<void>): void },
	...messages: PowerMessage[]
) {
	const { DuckDb } = await import("./power/duckdb.ts");
	const { SqlPowerStore } = await import("./power/sql-store.ts");
	const store: PowerStore = new SqlPowerStore({
		database: new DuckDb({ path: ":memory:" }),
	});
	await store.start();
	t.teardown(() => store.stop());
	await store.write(
		messages.flatMap((m) => toPoint(m, "home", Date.now()) ?? []),
	);
	return powerTable(store);
}

test("with sensors joules come first; an estimate is never added to them", async (t) => {
	const table = await tableOf(
		t,
		message(),
		message({ boot: "b2", audioSeconds: 10, speechMillijoules: 12_000 }),
		message({
			...{ device: "laptop", measured: false, sensor: "estimate" },
			...{ millijoules: 900_000, speechMillijoules: 100_000 },
		}),
		message({ device: "mute", millijoules: null, speechMillijoules: null }),
	);
	t.like(table.total, {
		...{ joules: 120, joulesPerAudioSecond: 1, estimatedJoules: 900 },
		...{ estimatedJoulesPerAudioSecond: 10, coverage: "1 of 3 measured" },
	});
	const text = formatPowerTable(table);
	const [head = ""] = text.split("\n");
	t.regex(head, /device +utterances +audio s +J +J per s of audio .*est\. J/);
	t.regex(text, /mute .*unknown/);
});

test("without a sensor time comes first and the estimate last", async (t) => {
	const table = await tableOf(
		t,
		message({ measured: false, sensor: "estimate" }),
	);
	const [head = ""] = formatPowerTable(table).split("\n");
	t.regex(head, /audio s +s per s of audio +est\. J/);
	t.notRegex(head, /audio s +J /);
	t.is(table.total.joules, null);
	t.is(formatPowerTable({ ...table, rows: [] }), "no device has reported yet");
});
