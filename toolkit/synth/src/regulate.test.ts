import test from "ava";
import fc from "fast-check";
import { noiseRow } from "./noise.ts";
import { durations, Regulator } from "./regulate.ts";

test("durations undo ln(frames + 1), are at least 1 and follow the speed", (t) => {
	const logs = (frames: number[]) =>
		Float32Array.from(frames, (f) => Math.log(f + 1));
	t.deepEqual([...durations(logs([1, 2, 9, 40]), 1)], [1, 2, 9, 40]);
	t.deepEqual([...durations(logs([1, 2, 9, 40]), 2)], [1, 1, 5, 20]);
	t.deepEqual([...durations(logs([0, 2]), 0.5)], [1, 4]);
	t.deepEqual([...durations(Float32Array.of(-5, 99), 1)], [1, 400]);
	t.throws(() => durations(Float32Array.of(Number.NaN), 1), {
		code: "E_MODEL",
	});
});

const regulator = (frames: number[]) =>
	new Regulator({
		content: Float32Array.from(frames.flatMap((_, i) => [i + 1, -i - 1])),
		contentDim: 2,
		frames: Int32Array.from(frames),
		noiseDim: 3,
		noiseScale: 1,
		seed: 11,
	});

test("rows repeat by duration, with the place in the phone beside them", (t) => {
	const { content, position } = regulator([1, 2]).window(-1, 5);
	t.deepEqual([...content], [0, 0, 1, -1, 2, -2, 2, -2, 0, 0]);
	const ln = (x: number) => Math.fround(Math.log(x));
	t.deepEqual(
		[...position],
		[
			...[0, 0, 0],
			...[0.5, 0.5, ln(2)],
			...[0.25, 0.75, ln(3)],
			...[0.75, 0.25, ln(3)],
			...[0, 0, 0],
		],
	);
});

test("any window is the part of the whole that it covers", (t) => {
	fc.assert(
		fc.property(
			fc.array(fc.integer({ min: 1, max: 6 }), { minLength: 1, maxLength: 8 }),
			fc.integer({ min: -4, max: 30 }),
			fc.integer({ min: 1, max: 20 }),
			(frames, from, count) => {
				const r = regulator(frames);
				const whole = r.window(-4, 80);
				const part = r.window(from, count);
				for (const key of ["content", "position", "noise"] as const) {
					const width = part[key].length / count;
					const start = (from + 4) * width;
					t.deepEqual(
						part[key],
						whole[key].slice(start, start + count * width),
					);
				}
			},
		),
		{ numRuns: 50 },
	);
});

test("noise is standard normal, differs by row and by seed", (t) => {
	const n = 20_000;
	const all = new Float32Array(n);
	for (let row = 0; row < n / 20; row++)
		noiseRow(5, row, 1, all.subarray(row * 20, row * 20 + 20));
	const mean = all.reduce((a, b) => a + b, 0) / n;
	const variance = all.reduce((a, b) => a + (b - mean) ** 2, 0) / n;
	const beyond2 = all.filter((x) => Math.abs(x) > 2).length / n;
	t.true(Math.abs(mean) < 0.03, `mean ${mean}`);
	t.true(Math.abs(variance - 1) < 0.05, `variance ${variance}`);
	t.true(Math.abs(beyond2 - 0.0455) < 0.01, `beyond 2 sigma ${beyond2}`);
	// neighbours in value and in row are not alike
	let lag = 0;
	for (let i = 20; i < n; i++) lag += (all[i] ?? 0) * (all[i - 20] ?? 0);
	t.true(Math.abs(lag / n) < 0.03);
	const rows = [
		[5, 0],
		[5, 1],
		[6, 0],
	].map(([seed = 0, row = 0]) => {
		const out = new Float32Array(5);
		noiseRow(seed, row, 1, out);
		return out.join();
	});
	t.is(new Set(rows).size, 3);
});
