import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { encode, type PowerMessage } from "@wattvox/link";
import test from "ava";
import fc from "fast-check";
import { Collector } from "./collector.ts";
import { formatPowerTable, powerTable } from "./collector-table.ts";
import { PowerTotals } from "./collector-totals.ts";

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

/** Messages as devices send them: counters that rise with the sequence within a boot. */
const history = fc
	.array(
		fc.record({
			device: fc.constantFrom("nano", "orin", "thor"),
			boot: fc.constantFrom("b1", "b2", "b3", "b4"),
			sequence: fc.integer({ min: 0, max: 20 }),
			millijoules: fc.option(fc.double({ min: 0, max: 1e9, noNaN: true })),
			speechMillijoules: fc.option(
				fc.double({ min: 0, max: 1e9, noNaN: true }),
			),
			measured: fc.boolean(),
			sensor: fc.constantFrom("ina3221", "rapl", "estimate"),
			utterances: fc.nat(),
			audioSeconds: fc.double({ min: 0, max: 1e6, noNaN: true }),
			computeSeconds: fc.double({ min: 0, max: 1e6, noNaN: true }),
			at: fc.constantFrom(
				"2026-02-03T04:05:06.000Z",
				"2026-02-04T04:05:06.000Z",
			),
		}),
		{ minLength: 1, maxLength: 40 },
	)
	.map((list) => list.map((part) => message(part)));

function totals(messages: readonly PowerMessage[]) {
	const sums = new PowerTotals();
	for (const m of messages) sums.add(m);
	return sums.devices();
}

test("any order and any repetition of messages gives the same totals, to the bit", (t) => {
	t.notThrows(() =>
		fc.assert(
			fc.property(
				history.chain((sent) =>
					fc.record({
						sent: fc.constant(sent),
						order: fc.array(fc.nat({ max: sent.length - 1 }), {
							maxLength: 60,
						}),
						seed: fc.shuffledSubarray(sent, { minLength: sent.length }),
					}),
				),
				({ sent, order, seed }) => {
					const again = order.map((i) => sent[i] as PowerMessage);
					t.deepEqual(totals([...again, ...seed, ...again]), totals(sent));
				},
			),
		),
	);
});

test("losing all but the last message of each boot loses nothing", (t) => {
	const sent = [0, 1, 2, 3].flatMap((sequence) =>
		["b1", "b2"].map((boot) =>
			message({ boot, sequence, millijoules: 1000 * (sequence + 1) }),
		),
	);
	t.deepEqual(totals(sent.slice(-2)), totals(sent));
	t.is(totals(sent)[0]?.measured?.joules, 8);
});

test("what is saved and restored is the same", (t) => {
	const sums = new PowerTotals();
	sums.add(message());
	sums.add(message({ device: "orin", boot: "x", millijoules: null }));
	const again = PowerTotals.restore(JSON.parse(JSON.stringify(sums.save())));
	t.deepEqual(again.devices(), sums.devices());
});

test("with sensors joules come first; an estimate is never added to them", (t) => {
	const table = powerTable(
		totals([
			message(),
			message({ boot: "b2", audioSeconds: 10, speechMillijoules: 12_000 }),
			message({
				device: "laptop",
				measured: false,
				sensor: "estimate",
				millijoules: 900_000,
				speechMillijoules: 100_000,
			}),
			message({ device: "mute", millijoules: null, speechMillijoules: null }),
		]),
	);
	t.like(table.total, {
		joules: 120,
		joulesPerAudioSecond: 1,
		estimatedJoules: 900,
		estimatedJoulesPerAudioSecond: 10,
		coverage: "1 of 3 measured",
		audioSeconds: 40,
	});
	t.is(
		formatPowerTable(table),
		[
			"device  utterances  audio s        J  J per s of audio  s per s of audio   est. J  est. J per s of audio  energy",
			"------  ----------  -------  -------  ----------------  ----------------  -------  ---------------------  --------------------",
			"laptop           4     10.0  unknown           unknown             0.100      900                   10.0  estimated (estimate)",
			"mute             4     10.0  unknown           unknown             0.100  unknown                unknown  unknown",
			"nano             8     20.0      120              1.00             0.100  unknown                unknown  measured (ina3221)",
			"all             16     40.0      120              1.00             0.100      900                   10.0  1 of 3 measured",
		].join("\n"),
	);
});

test("without a sensor time comes first and the estimate is labelled", (t) => {
	const estimate = message({ measured: false, sensor: "estimate" });
	const [head] = formatPowerTable(powerTable(totals([estimate]))).split("\n");
	t.is(
		head,
		"device  utterances  audio s  s per s of audio  est. J  est. J per s of audio  energy",
	);
	t.is(formatPowerTable(powerTable([])), "no device has reported yet");
});

test("a device that did not tell speaking from waiting has joules, none per second", (t) => {
	const { speechMillijoules: _, ...untold } = message();
	t.like(powerTable(totals([untold])).total, {
		joules: 60,
		joulesPerAudioSecond: null,
	});
});

/** A broker in one line: what is sent reaches who subscribed. */
function broker() {
	const handlers = new Map<string, (topic: string, payload: Buffer) => void>();
	return {
		handlers,
		subscribe: async (
			filter: string,
			handler: (topic: string, payload: Buffer) => void,
		) => {
			handlers.set(filter, handler);
			return async () => void handlers.delete(filter);
		},
		send(device: string, payload: Buffer) {
			for (const handler of handlers.values())
				handler(`wattvox/v1/home/${device}/power`, payload);
		},
	};
}

test("listens, keeps its totals over a restart, and ignores what is not a report", async (t) => {
	const dir = await mkdtemp(join(tmpdir(), "wattvox-collector-"));
	t.teardown(() => rm(dir, { recursive: true, force: true }));
	const path = join(dir, "power.json");
	const link = broker();
	const first = new Collector({ link, path, fleet: "home" });
	await first.start();
	t.deepEqual([...link.handlers.keys()], ["wattvox/v1/home/+/power"]);
	link.send("nano", encode(message()));
	link.send("nano", Buffer.from("{"));
	link.send("nano", encode(message({ device: "other" })));
	t.is(first.ignored, 2);
	await first.stop();
	await first.stop();
	t.is(link.handlers.size, 0);
	const second = new Collector({ link, path });
	await second.start();
	t.is(second.table().total.joules, 60);
	link.send("nano", encode(message({ boot: "b2" })));
	t.is(second.table().total.joules, 120);
	await second.stop();
	t.is(JSON.parse(await readFile(path, "utf8")).latest.length, 2);
});

test("another file is refused, not overwritten", async (t) => {
	const dir = await mkdtemp(join(tmpdir(), "wattvox-collector-"));
	t.teardown(() => rm(dir, { recursive: true, force: true }));
	const path = join(dir, "power.json");
	await writeFile(path, "precious");
	await t.throwsAsync(new Collector({ link: broker(), path }).start(), {
		message: /holds no power totals/,
	});
	t.is(await readFile(path, "utf8"), "precious");
});

test("a file that cannot be written is said, and the totals stay", async (t) => {
	const dir = await mkdtemp(join(tmpdir(), "wattvox-collector-"));
	t.teardown(() => rm(dir, { recursive: true, force: true }));
	const errors: string[] = [];
	const link = broker();
	const collector = new Collector({
		link,
		path: join(dir, "later", "power.json"),
		onError: (error) => errors.push(error.code),
	});
	await collector.start();
	await writeFile(join(dir, "later"), "");
	link.send("nano", encode(message()));
	await collector.stop();
	t.deepEqual(errors, ["E_OUTPUT"]);
	t.is(collector.table().total.joules, 60);
});
