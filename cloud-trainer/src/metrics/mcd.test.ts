import { seededRandom } from "@wattvox/models";
import test from "ava";
import fc from "fast-check";
import {
	type Cepstra,
	framePool,
	mcdDtw,
	mcdNearest,
	melCepstra,
} from "./mcd.ts";

const MELS = 80;

const cepstra = fc
	.array(
		fc.array(fc.double({ min: -3, max: 3, noNaN: true }), {
			minLength: 4,
			maxLength: 4,
		}),
		{ minLength: 1, maxLength: 12 },
	)
	.map(
		(rows): Cepstra => ({
			frames: rows.length,
			order: 4,
			data: Float32Array.from(rows.flat()),
		}),
	);

function noise(frames: number, seed: number): Float32Array {
	const random = seededRandom(seed);
	return Float32Array.from({ length: frames * MELS }, () => random() * 2);
}

test("distance to itself is 0, also when stretched", (t) => {
	fc.assert(
		fc.property(cepstra, fc.integer({ min: 2, max: 4 }), (a, times) => {
			t.is(mcdDtw(a, a), 0);
			const slow: Cepstra = {
				frames: a.frames * times,
				order: a.order,
				data: new Float32Array(a.data.length * times),
			};
			for (let f = 0; f < slow.frames; f++) {
				const from = Math.floor(f / times) * a.order;
				slow.data.set(a.data.subarray(from, from + a.order), f * a.order);
			}
			t.is(mcdDtw(a, slow), 0);
			t.is(mcdNearest(a, slow), 0);
		}),
	);
});

test("distances are symmetric and never negative", (t) => {
	fc.assert(
		fc.property(cepstra, cepstra, (a, b) => {
			t.true(Math.abs(mcdDtw(a, b) - mcdDtw(b, a)) < 1e-9);
			t.true(Math.abs(mcdNearest(a, b) - mcdNearest(b, a)) < 1e-9);
			t.true(mcdDtw(a, b) >= 0);
		}),
	);
});

test("one frame pair: the formula in dB", (t) => {
	const a = { frames: 1, order: 2, data: Float32Array.of(1, 0) };
	const b = { frames: 1, order: 2, data: Float32Array.of(0, 2) };
	const expected = (10 / Math.LN10) * Math.sqrt(2 * 5);
	t.true(Math.abs(mcdDtw(a, b) - expected) < 1e-9);
	t.true(Math.abs(mcdNearest(a, b) - expected) < 1e-9);
});

test("a cosine ripple over the bands of r dB is a distance of its root mean square", (t) => {
	const flat = new Float32Array(MELS);
	// ln amplitude ripple of 6 dB peak: 6 / sqrt 2 dB root mean square.
	const ripple = Float32Array.from(
		flat,
		(_, n) =>
			(6 / (20 / Math.LN10)) * Math.cos((Math.PI * 3 * (n + 0.5)) / MELS),
	);
	const d = mcdDtw(melCepstra(flat, MELS), melCepstra(ripple, MELS));
	t.true(Math.abs(d - 6 / Math.SQRT2) < 1e-4, `${d}`);
});

test("loudness does not matter, pauses are dropped", (t) => {
	const x = noise(20, 1);
	const loud = x.map((v) => v + 2);
	t.true(mcdDtw(melCepstra(x, MELS), melCepstra(loud, MELS)) < 1e-3);
	const padded = new Float32Array(x.length + 10 * MELS).fill(-11.5);
	padded.set(x, 5 * MELS);
	const c = melCepstra(padded, MELS);
	t.is(c.frames, 20);
	t.true(mcdDtw(melCepstra(x, MELS), c) < 1e-9);
	t.true(mcdDtw(melCepstra(x, MELS), melCepstra(noise(20, 2), MELS)) > 1);
});

test("silence has no frames and no distance", (t) => {
	const none = melCepstra(new Float32Array(0), MELS);
	t.is(none.frames, 0);
	t.true(Number.isNaN(mcdDtw(none, melCepstra(noise(3, 1), MELS))));
	t.true(Number.isNaN(mcdNearest(none, none)));
});

test("a pool keeps order, spans all utterances and obeys its limit", (t) => {
	const u = (from: number, frames: number): Cepstra => ({
		frames,
		order: 1,
		data: Float32Array.from({ length: frames }, (_, i) => from + i),
	});
	const pool = framePool([u(0, 4), u(0, 0), u(100, 4)], 4);
	t.deepEqual([...pool.data], [0, 2, 100, 102]);
	t.deepEqual([...framePool([u(5, 2)], 10).data], [5, 6]);
	t.is(framePool([], 10).frames, 0);
});
