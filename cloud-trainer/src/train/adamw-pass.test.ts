import test from "ava";
import { ADAMW } from "./adamw.ts";
import {
	adamWPass,
	gradientNorm,
	type Parameter,
	squares,
} from "./adamw-pass.ts";

const parameter = (w: number[], g: number[]): Parameter => ({
	w: Float32Array.from(w),
	m: new Float32Array(w.length),
	v: new Float32Array(w.length),
	g: Float32Array.from(g),
	rate: 1,
	decay: 0,
});

test("squares of any count of numbers are summed in double precision", (t) => {
	for (let n = 0; n < 10; n++)
		t.is(
			squares(Float32Array.from({ length: n }, (_, i) => i + 1)),
			(n * (n + 1) * (2 * n + 1)) / 6,
		);
	// In single precision the ones would be lost beside the first.
	const many = new Float32Array(5001).fill(1);
	many[0] = 2 ** 14;
	t.is(squares(many), 2 ** 28 + 5000);
});

test("a first step moves every number by the learning rate, against its gradient", (t) => {
	const p = parameter([1, -2, 0.5], [3, -4, 0]);
	adamWPass(
		[p],
		gradientNorm([p.g]),
		{ learningRate: 0.1, t: 1 },
		{
			...ADAMW,
			clip: 1e9,
		},
	);
	for (const [i, want] of [0.9, -1.9, 0.5].entries())
		t.true(Math.abs((p.w[i] ?? 0) - want) < 1e-6);
});

test("scaled gradients, unscaled, give the step of the gradients themselves", (t) => {
	const [a, b] = [
		parameter([1, 2], [3, 4]),
		parameter([1, 2], [3 * 512, 4 * 512]),
	];
	const s = { learningRate: 0.1, t: 3 };
	t.is(gradientNorm([b.g], 1 / 512), 5);
	adamWPass([a], 5, s, ADAMW);
	adamWPass([b], 5, { ...s, unscale: 1 / 512 }, ADAMW);
	t.deepEqual(a, { ...b, g: a.g });
	// Clipped to norm 1: the moment is a tenth of a fifth.
	t.true(Math.abs((a.m[0] ?? 0) - (0.1 * 3) / 5) < 1e-7);
});

test("rate and decay are the parameter's own", (t) => {
	const p = { ...parameter([2], [0]), rate: 3, decay: 0.5 };
	adamWPass([p], 0, { learningRate: 0.1, t: 1 }, ADAMW);
	t.true(Math.abs((p.w[0] ?? 0) - 2 * (1 - 0.1 * 3 * 0.5)) < 1e-6);
});
