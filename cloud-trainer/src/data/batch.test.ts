import test from "ava";
import fc from "fast-check";
import { acousticBatch, drawInTurn, positionRows } from "./acoustic-batch.ts";
import { phoneFrames } from "./corpus.ts";
import type { Example } from "./features.ts";
import { StepRandom } from "./random.ts";

const example = (durations: number[]): Example => {
	const frames = durations.reduce((a, d) => a + d, 0);
	return {
		id: "x",
		speaker: "s",
		split: "train",
		phones: Int32Array.from(durations, (_, i) => 1 + (i % 5)),
		durations: Int32Array.from(durations),
		frames,
		mel: Float32Array.from({ length: frames * 80 }, (_, i) =>
			Math.floor(i / 80),
		),
		wave: new Int16Array(frames * 200),
	};
};
const durations = fc.array(fc.integer({ min: 1, max: 9 }), {
	minLength: 1,
	maxLength: 20,
});

test("sentences in turn: each as often as any other, give or take one, in an order of its own per round", (t) => {
	fc.assert(
		fc.property(
			fc.integer({ min: 1, max: 12 }),
			fc.integer({ min: 1, max: 20 }),
			fc.integer({ min: 1, max: 30 }),
			fc.nat(1000),
			(count, size, steps, seed) => {
				const all = Array.from({ length: count }, () => example([3]));
				const seen = new Map(all.map((e) => [e, 0]));
				for (let step = 0; step < steps; step++) {
					const drawn = drawInTurn(all, size, seed, step);
					t.is(drawn.length, size);
					for (const e of drawn) seen.set(e, (seen.get(e) as number) + 1);
				}
				const times = [...seen.values()];
				t.true(Math.max(...times) - Math.min(...times) <= 1);
			},
		),
	);
	const all = Array.from({ length: 12 }, () => example([3]));
	const round = (step: number) =>
		drawInTurn(all, 12, 1, step).map((e) => all.indexOf(e));
	t.notDeepEqual(round(0), round(1));
	t.deepEqual(round(3), round(3));
});

test("phone frames add up, each at least one", (t) => {
	fc.assert(
		fc.property(
			fc.array(fc.nat(4000), { minLength: 1, maxLength: 12 }),
			fc.integer({ min: 12, max: 60 }),
			(raw, frames) => {
				const ends = [...raw].sort((a, b) => a - b);
				const out = phoneFrames(ends, 200, frames);
				return (
					out.every((d) => d >= 1) && out.reduce((a, d) => a + d, 0) === frames
				);
			},
		),
	);
	t.throws(() => phoneFrames([1, 2, 3], 200, 2), {
		code: "E_FILE_FORMAT",
	} as never);
});

test("position rows are the same whether taken whole or in parts, and zero past the end", (t) => {
	fc.assert(
		fc.property(
			durations,
			fc.nat(40),
			fc.integer({ min: 1, max: 30 }),
			(list, from, count) => {
				const frames = list.reduce((a, d) => a + d, 0);
				const whole = positionRows(list, 0, frames + 80);
				return positionRows(list, from, count).every(
					(v, i) => v === whole[from * 3 + i],
				);
			},
		),
	);
	t.deepEqual(
		[...positionRows([2], 0, 3)].map((v) => Math.round(v * 100) / 100),
		[0.25, 0.75, 1.1, 0.75, 0.25, 1.1, 0, 0, 0],
	);
});

test("a batch aligns each real frame to the phone it belongs to, and masks the rest", (t) => {
	fc.assert(
		fc.property(
			fc.array(durations, { minLength: 1, maxLength: 3 }),
			fc.nat(1000),
			(lists, seed) => {
				const F = 24;
				const examples = lists.map(example);
				const b = acousticBatch(
					examples,
					{ size: lists.length, frames: F, edge: 2, posteriorShare: 0.5 },
					() => new Float32Array(192),
					0.5,
					new StepRandom(seed, 0),
				);
				const T = b.phones?.dims[1] ?? 0;
				const [align, mel, mask, loss] = [
					"align",
					"mel",
					"frame_mask",
					"loss_mask",
				].map((n) => b[n]?.data as Float32Array) as [
					Float32Array,
					Float32Array,
					Float32Array,
					Float32Array,
				];
				return examples.every((e, i) => {
					const count = Math.min(F, e.frames);
					const phoneOf = [...e.durations].flatMap((d, p) =>
						new Array<number>(d).fill(p),
					);
					for (let f = 0; f < F; f++) {
						const row = align.subarray((i * F + f) * T, (i * F + f + 1) * T);
						const hits = row.reduce((a, v) => a + v, 0);
						if (
							hits !== (f < count ? 1 : 0) ||
							mask[i * F + f] !== (f < count ? 1 : 0)
						)
							return false;
						if (loss[i * F + f] === 1 && f >= count) return false;
						// The mel of frame n is n: it says which frame of the sentence this row is.
						if (
							f < count &&
							row.indexOf(1) !== phoneOf[mel[(i * F + f) * 80] ?? -1]
						)
							return false;
					}
					return true;
				});
			},
		),
	);
	t.pass();
});

test("randomness depends on seed and step alone", (t) => {
	const draw = (seed: number, step: number) => {
		const r = new StepRandom(seed, step);
		return [r.uniform(), r.normal(), r.int(1000)];
	};
	t.deepEqual(draw(1, 5), draw(1, 5));
	t.notDeepEqual(draw(1, 5), draw(1, 6));
	t.notDeepEqual(draw(1, 5), draw(2, 5));
});
