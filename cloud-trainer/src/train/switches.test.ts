import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Meter } from "@wattvox/energy";
import { seededRandom } from "@wattvox/models";
import { emptyGraph, floats, GraphBuilder } from "@wattvox/onnx";
import test from "ava";
import fc from "fast-check";
import { LengthBuckets } from "../data/buckets.ts";
import type { Example } from "../data/features.ts";
import {
	cropExample,
	SAMPLER,
	sampleStretches,
} from "../data/segment-sampler.ts";
import { growTable } from "../graphs/grow.ts";
import { klSchedule } from "../pretrain/stages.ts";
import { Dropout } from "./dropout.ts";
import { EpochMonitor, type EpochReport, hottest } from "./epochs.ts";

test("stretches last 1 to 5 s, begin apart, and stay within the recording", (t) => {
	t.notThrows(() =>
		fc.assert(
			fc.property(
				fc.double({ min: 0.2, max: 700, noNaN: true }),
				fc.nat(),
				(seconds, seed) => {
					const random = seededRandom(seed);
					const all = sampleStretches(seconds, random);
					if (seconds <= SAMPLER.min)
						return (
							all.length === 1 && all[0]?.from === 0 && all[0].to === seconds
						);
					return (
						all.length >= Math.floor((seconds - 1) / 3.5) &&
						all.every(
							({ from, to }, i) =>
								from >= 0 &&
								to <= seconds &&
								to - from > 1 - 1e-9 &&
								to - from <= 5 + 1e-9 &&
								(i === 0 ||
									from - (all[i - 1]?.from ?? 0) >= SAMPLER.spacing - 1e-9),
						)
					);
				},
			),
		),
	);
	// The grid is every 3 s; each start moves by up to half a second from it, and not always alike.
	const starts = new Set<number>();
	for (let seed = 0; seed < 50; seed++)
		for (const [i, { from }] of sampleStretches(
			60,
			seededRandom(seed),
		).entries()) {
			t.true(Math.abs(from - 3 * i) <= 0.5 + 1e-9);
			starts.add(from);
		}
	t.true(starts.size > 500);
});

test("a stretch of an example holds whole phones, their mel and samples", (t) => {
	const durations = Int32Array.of(10, 20, 30, 40);
	const e: Example = {
		id: "e",
		speaker: "s",
		split: "train",
		phones: Int32Array.of(1, 2, 3, 4),
		durations,
		frames: 100,
		mel: Float32Array.from({ length: 200 }, (_, i) => Math.floor(i / 2)),
		wave: Int16Array.from({ length: 300 }, (_, i) => Math.floor(i / 3)),
	};
	const middle = cropExample(e, { from: 1.2, to: 5 }, 10);
	t.deepEqual([...middle.phones], [2, 3]);
	t.is(middle.frames, 50);
	t.is(middle.mel[0], 10);
	t.is(middle.mel.at(-1), 59);
	t.deepEqual([middle.wave[0], middle.wave.at(-1)], [10, 59]);
	t.deepEqual(
		[...cropExample(e, { from: 0, to: 10 }, 10).phones],
		[1, 2, 3, 4],
	);
	t.deepEqual([...cropExample(e, { from: 9.9, to: 10 }, 10).phones], [4]);
});

test("buckets: less padding, every example as often, the same for the same step", (t) => {
	const random = seededRandom(3);
	const lengths = Array.from(
		{ length: 60 },
		() => 20 + Math.floor(180 * random()),
	);
	const sorted = new LengthBuckets(lengths, 8);
	const plain = new LengthBuckets(lengths, 8, 1, 1);
	const counts = lengths.map(() => 0);
	let [less, more] = [0, 0];
	for (let step = 0; step < 400; step++) {
		const batch = sorted.batch(step);
		t.is(batch.length, 8);
		for (const i of batch) counts[i] = (counts[i] ?? 0) + 1;
		less += sorted.padding(batch) / 400;
		more += plain.padding(plain.batch(step)) / 400;
	}
	t.true(less < more / 3, `${less} against ${more}`);
	const mean = (8 * 400) / 60;
	t.true(counts.every((c) => Math.abs(c - mean) < 6 * Math.sqrt(mean)));
	t.deepEqual(sorted.batch(7), new LengthBuckets(lengths, 8).batch(7));
});

test("a table of speakers grows; the old ones stay, the new ones are like them", (t) => {
	const b = new GraphBuilder(emptyGraph("speakers"));
	b.weight("speakers", floats([1, 10, 3, 30], [2, 2]));
	const grown = growTable(b.graph, "speakers", 5);
	const { dims, data } = grown.initializers.get("speakers") ?? {
		dims: [],
		data: [],
	};
	t.deepEqual(dims, [5, 2]);
	t.deepEqual([...data].slice(0, 4), [1, 10, 3, 30]);
	for (let i = 2; i < 5; i++) {
		t.true(Math.abs(Number(data[2 * i]) - 2) < 0.5);
		t.true(Math.abs(Number(data[2 * i + 1]) - 20) < 5);
	}
	t.deepEqual(b.graph.initializers.get("speakers")?.dims, [2, 2]);
	t.throws(() => growTable(b.graph, "speakers", 1), {
		code: "E_USAGE",
	} as never);
	t.throws(() => growTable(b.graph, "ghost", 3), { code: "E_MODEL" } as never);
});

test("the weight of KL begins at 0.1 and rises to 1", (t) => {
	const at = Array.from({ length: 101 }, (_, i) => klSchedule(i, 100));
	t.is(at[0], 0.1);
	t.true(at.every((w, i) => i === 0 || w >= (at[i - 1] ?? 0)));
	t.true((at[30] ?? 1) < 0.5);
	t.deepEqual([at[65], at[100]], [1, 1]);
	const own = [0, 40, 100].map((i) =>
		klSchedule(i, 100, { first: 0.5, last: 0.7 }),
	);
	t.deepEqual(
		own.map((w) => w.toFixed(3)),
		["0.500", "0.600", "0.700"],
	);
});

test("dropout blanks its share of inputs, keeps the mean, and knows its step", (t) => {
	const b = new GraphBuilder(emptyGraph("d"));
	b.weight("w.lora_A", floats(new Float32Array(4000), [1000, 4]));
	b.weight("c.lora_A", floats(new Float32Array(60), [2, 10, 3]));
	b.weight("w.lora_B", floats(new Float32Array(8), [4, 2]));
	const dropout = new Dropout({ share: 0.2, seed: 1 });
	const graph = dropout.applied(b.graph, [...b.graph.initializers.keys()]);
	t.deepEqual(
		graph.inputs.map((v) => [v.name, v.shape]),
		[
			["w.lora_A.keep", [1000, 1]],
			["c.lora_A.keep", [1, 10, 1]],
		],
	);
	const mask = [...(dropout.feeds(1)["w.lora_A.keep"]?.data ?? [])].map(Number);
	const blank = mask.filter((v) => v === 0).length;
	t.true(Math.abs(blank - 200) < 60, String(blank));
	t.true(mask.every((v) => v === 0 || v === Math.fround(1.25)));
	t.deepEqual(dropout.feeds(1), dropout.feeds(1));
	t.notDeepEqual(dropout.feeds(1), dropout.feeds(2));
});

test("an epoch's energy, power, utilisation and temperature", async (t) => {
	const root = await mkdtemp(join(tmpdir(), "wattvox-thermal-"));
	t.teardown(() => rm(root, { recursive: true }));
	t.is(await hottest(root), null);
	for (const [zone, text] of [
		["thermal_zone0", "41000\n"],
		["thermal_zone1", "55500\n"],
		["thermal_zone2", ""],
		["cooling0", "99000"],
	] as const) {
		await mkdir(join(root, zone));
		await writeFile(join(root, zone, "temp"), text);
	}
	t.is(await hottest(root), 55.5);
	let ns = 1n;
	const meter = new Meter({
		kind: "counter",
		ranges: [null],
		describe: () => ({
			sensor: "fake",
			rails: ["all"],
			scope: "a test",
			measured: true,
		}),
		read: async () => ({ atNs: ns, microjoules: [(ns * 30n) / 1000n] }),
		close: async () => undefined,
	});
	const pass = (seconds: number) => {
		ns += BigInt(seconds * 1e9);
	};
	const reports: EpochReport[] = [];
	const monitor = new EpochMonitor(meter, 3, (r) => reports.push(r), root);
	await monitor.start();
	for (const step of [1, 2, 3, 4, 5, 6, 7]) {
		pass(2);
		monitor.onStep({ step });
		await monitor.stop();
	}
	t.deepEqual(
		reports.map((r) => [r.epoch, r.step, r.seconds, r.temperature, r.measured]),
		[
			[1, 3, 6, 55.5, true],
			[2, 6, 6, 55.5, true],
		],
	);
	for (const r of reports) {
		t.true(Math.abs((r.watts ?? 0) - 30) < 1e-6);
		t.true(Math.abs((r.joules ?? 0) - 180) < 1e-6);
		t.true(r.utilisation > 0 && r.utilisation < 1);
	}
});
