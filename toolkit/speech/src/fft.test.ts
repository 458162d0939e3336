import test from "ava";
import fc from "fast-check";
import { dft } from "./fft.ts";

/** The definition, O(n^2). */
function slow(x: Float64Array): Float64Array {
	const n = x.length / 2;
	const out = new Float64Array(2 * n);
	for (let k = 0; k < n; k++)
		for (let i = 0; i < n; i++) {
			const a = (-2 * Math.PI * ((i * k) % n)) / n;
			const re = x[2 * i] as number;
			const im = x[2 * i + 1] as number;
			out[2 * k] = (out[2 * k] as number) + re * Math.cos(a) - im * Math.sin(a);
			out[2 * k + 1] =
				(out[2 * k + 1] as number) + re * Math.sin(a) + im * Math.cos(a);
		}
	return out;
}

test("agrees with the definition at every small length, and at 800 and 1024", (t) => {
	for (const n of [
		...Array.from({ length: 64 }, (_, i) => i + 1),
		800,
		1024,
		997,
	]) {
		const x = Float64Array.from({ length: 2 * n }, (_, i) =>
			Math.sin(i * i + 1),
		);
		const want = slow(x);
		dft(n).forward(x);
		let worst = 0;
		for (let i = 0; i < x.length; i++)
			worst = Math.max(worst, Math.abs((x[i] as number) - (want[i] as number)));
		t.true(worst < 1e-9, `length ${n}: ${worst}`);
	}
});

test("keeps energy (Parseval) and is linear", (t) => {
	const signal = fc
		.integer({ min: 1, max: 300 })
		.chain((n) =>
			fc.tuple(
				fc.constant(n),
				fc.infiniteStream(fc.double({ min: -1, max: 1, noNaN: true })),
			),
		);
	fc.assert(
		fc.property(signal, ([n, stream]) => {
			const x = Float64Array.from(stream.take(2 * n));
			const energy = x.reduce((a, v) => a + v * v, 0);
			const twice = x.map((v) => 2 * v);
			dft(n).forward(x);
			dft(n).forward(twice);
			const hat = x.reduce((a, v) => a + v * v, 0);
			t.true(Math.abs(hat / n - energy) <= 1e-9 * (1 + energy));
			for (let i = 0; i < x.length; i++)
				t.true(Math.abs((twice[i] as number) - 2 * (x[i] as number)) < 1e-9);
		}),
		{ numRuns: 50 },
	);
});
