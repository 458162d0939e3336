import { MEL_MEAN, MEL_SCALE, normal, seededRandom } from "@wattvox/models";
import { floats } from "@wattvox/onnx";
import test from "ava";
import fc from "fast-check";
import { solvedLayer } from "./head-start.ts";

/** Sentences whose mels a linear layer makes of their hidden rows, with noise. */
function spoken(seed: number, rows: number, n: number, noise: number) {
	const random = seededRandom(seed);
	const draw = (size: number) =>
		Float32Array.from({ length: size }, () => normal(random));
	const [w, b] = [draw(rows * n), draw(n)];
	const hidden = [draw(60 * rows), draw(90 * rows)];
	const mels = hidden.map((h) =>
		Float32Array.from({ length: (h.length / rows) * n }, (_, at) => {
			const [f, j] = [Math.floor(at / n), at % n];
			let y = b[j] as number;
			for (let i = 0; i < rows; i++)
				y += (h[f * rows + i] as number) * (w[i * n + j] as number);
			return MEL_MEAN + MEL_SCALE * (y + noise * normal(random));
		}),
	);
	const start = { w: floats(draw(rows * n), [rows, n]), b: floats(draw(n)) };
	return { w, b, hidden, mels, start };
}

/** What the layer is solved for: mean squared error of a frame's row, and the square of the change. */
function objective(
	{ hidden, mels, start }: ReturnType<typeof spoken>,
	w: ArrayLike<number>,
	b: ArrayLike<number>,
): number {
	const n = b.length;
	const rows = w.length / n;
	let [sum, frames] = [0, 0];
	for (const [s, h] of hidden.entries())
		for (let f = 0; f < h.length / rows; f++, frames++)
			for (let j = 0; j < n; j++) {
				let y = Number(b[j]);
				for (let i = 0; i < rows; i++)
					y += Number(h[f * rows + i]) * Number(w[i * n + j]);
				const target = (Number(mels[s]?.[f * n + j]) - MEL_MEAN) / MEL_SCALE;
				sum += (target - y) ** 2;
			}
	let change = 0;
	for (let i = 0; i < w.length; i++)
		change += (Number(w[i]) - Number(start.w.data[i])) ** 2;
	return sum / frames + 0.01 * change;
}

test("the layer that made the mels is found again", (t) => {
	const made = spoken(1, 6, 3, 0);
	const { start, hidden, mels } = made;
	const { w, b } = solvedLayer(start.w, start.b, hidden, mels);
	for (let i = 0; i < made.w.length; i++)
		t.true(Math.abs(Number(w.data[i]) - (made.w[i] as number)) < 0.1);
	for (let j = 0; j < made.b.length; j++)
		t.true(Math.abs(Number(b.data[j]) - (made.b[j] as number)) < 0.1);
	t.deepEqual([w.dims, b.dims], [start.w.dims, start.b.dims]);
});

test("no step away from the solution is better", (t) => {
	fc.assert(
		fc.property(
			fc.integer({ min: 0, max: 1e6 }),
			fc.integer({ min: 1, max: 5 }),
			fc.integer({ min: 1, max: 4 }),
			(seed, rows, n) => {
				const made = spoken(seed, rows, n, 0.3);
				const { w, b } = solvedLayer(
					made.start.w,
					made.start.b,
					made.hidden,
					made.mels,
				);
				const W = Float64Array.from(w.data as Float32Array);
				const B = Float64Array.from(b.data as Float32Array);
				const least = objective(made, W, B);
				for (const numbers of [W, B])
					for (let i = 0; i < numbers.length; i++)
						for (const by of [-0.01, 0.01]) {
							const old = numbers[i] as number;
							numbers[i] = old + by;
							t.true(objective(made, W, B) > least);
							numbers[i] = old;
						}
			},
		),
		{ numRuns: 20 },
	);
});
