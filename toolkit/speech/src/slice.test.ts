import test from "ava";
import fc from "fast-check";
import { detectSpeech, slice } from "./slice.ts";

const RATE = 16000;

/** Buzzing stretches [start, end] in seconds over a noise floor. */
function speech(
	total: number,
	stretches: readonly (readonly [number, number])[],
	noise = 1e-4,
): Float32Array {
	let seed = 1;
	const x = Float32Array.from({ length: Math.round(total * RATE) }, () => {
		seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
		return noise * (seed / 2 ** 31 - 1);
	});
	for (const [start, end] of stretches)
		for (
			let i = Math.round(start * RATE);
			i < Math.min(x.length, end * RATE);
			i++
		)
			x[i] =
				(x[i] as number) +
				0.2 *
					Math.sin((2 * Math.PI * 140 * i) / RATE) *
					(1 + 0.5 * Math.sin(i / 900));
	return x;
}

test("speech is found to within 30 ms, whatever the gain and the noise", (t) => {
	const gains = fc.double({ min: 0.02, max: 4, noNaN: true });
	fc.assert(
		fc.property(gains, fc.constantFrom(0, 1e-4, 5e-3), (gain, noise) => {
			const x = speech(
				6,
				[
					[1, 2.5],
					[3.2, 5],
				],
				noise,
			).map((v) => v * gain);
			const frames = detectSpeech(x, RATE);
			for (let f = 0; f < frames.length; f++) {
				const s = f / 100;
				const edge = [1, 2.5, 3.2, 5].some((e) => Math.abs(s - e) < 0.04);
				const want = (s >= 1 && s < 2.5) || (s >= 3.2 && s < 5) ? 1 : 0;
				if (!edge)
					t.is(frames[f], want, `${s} s, gain ${gain}, noise ${noise}`);
			}
		}),
		{ numRuns: 15 },
	);
});

test("segments are in order, apart, at most 8 s long, and hold all the speech", (t) => {
	const stretch = fc.record({
		length: fc.double({ min: 0.3, max: 12, noNaN: true }),
		gap: fc.double({ min: 0.3, max: 1.5, noNaN: true }),
	});
	fc.assert(
		fc.property(fc.array(stretch, { minLength: 1, maxLength: 8 }), (list) => {
			let at = 0.5;
			const parts = list.map(({ length, gap }): [number, number] => {
				const start = at;
				at += length + gap;
				return [start, start + length];
			});
			const x = speech(at, parts);
			const segments = slice(x, RATE);
			let last = 0;
			for (const s of segments) {
				t.true(s.start >= last - 1e-9, "apart");
				t.true(s.end > s.start);
				t.true(s.end - s.start <= 8.21, `${s.end - s.start} s long`);
				t.is(s.from, Math.round(s.start * RATE));
				t.true(s.to <= x.length);
				last = s.end;
			}
			for (const [start, end] of parts)
				for (let time = start + 0.05; time < end - 0.05; time += 0.05)
					t.true(
						segments.some((s) => s.start <= time && time <= s.end),
						`${time} s is in none`,
					);
		}),
		{ numRuns: 25 },
	);
});

test("cuts fall in the pauses, the long ones first", (t) => {
	const segments = slice(
		speech(20, [
			[0.5, 3],
			[3.25, 5.5],
			[6.3, 9],
			[9.25, 11.5],
			[12.3, 15],
			[15.25, 18],
		]),
		RATE,
	);
	t.is(segments.length, 3);
	for (const [i, [start, end]] of [
		[0.5, 5.5],
		[6.3, 11.5],
		[12.3, 18],
	].entries()) {
		t.true(
			Math.abs((segments[i]?.start ?? 0) - (start as number) + 0.1) < 0.05,
		);
		t.true(Math.abs((segments[i]?.end ?? 0) - (end as number) - 0.1) < 0.05);
	}
});

test("a short recording is one segment; silence is none", (t) => {
	t.is(slice(speech(2, [[0.5, 1.2]]), RATE).length, 1);
	t.deepEqual(slice(new Float32Array(RATE * 3), RATE), []);
	t.deepEqual(slice(new Float32Array(0), RATE), []);
});
