import test from "ava";
import fc from "fast-check";
import { castFloat, floats, fromHalf, type Tensor, toHalf } from "./index.ts";

const bits = (value: number) => toHalf(Float32Array.of(value))[0];
const value = (word: number) => fromHalf(Uint16Array.of(word))[0] ?? Number.NaN;

test("known values, both ways", (t) => {
	const known: [number, number][] = [
		[0, 0x0000],
		[-0, 0x8000],
		[1, 0x3c00],
		[-2, 0xc000],
		[0.333251953125, 0x3555],
		[65504, 0x7bff],
		[Number.POSITIVE_INFINITY, 0x7c00],
		[Number.NEGATIVE_INFINITY, 0xfc00],
		// The smallest normal number, the largest and the smallest below it.
		[2 ** -14, 0x0400],
		[2 ** -14 - 2 ** -24, 0x03ff],
		[2 ** -24, 0x0001],
	];
	for (const [number, word] of known) {
		t.is(bits(number), word, String(number));
		t.is(value(word), number, String(word));
	}
	t.is((bits(Number.NaN) ?? 0) & 0x7c00, 0x7c00);
	t.true(Number.isNaN(value(0x7e00)));
});

test("halves round to the even neighbour, and past the largest to infinity", (t) => {
	t.is(bits(1 + 2 ** -11), 0x3c00);
	t.is(bits(1 + 3 * 2 ** -11), 0x3c02);
	t.is(bits(1 + 2 ** -11 + 2 ** -20), 0x3c01);
	t.is(bits(2 ** -25), 0x0000);
	t.is(bits(3 * 2 ** -25), 0x0002);
	t.is(bits(2 ** -26), 0x0000);
	t.is(bits(-(2 ** -26)), 0x8000);
	t.is(bits(65519), 0x7bff);
	t.is(bits(65520), 0x7c00);
});

test("every word that is a number comes back from its value", (t) => {
	const words = Uint16Array.from({ length: 65536 }, (_, i) => i).filter(
		(w) => (w & 0x7c00) !== 0x7c00 || (w & 0x3ff) === 0,
	);
	t.deepEqual(toHalf(fromHalf(words)), words);
});

test("a value goes to the nearest word: its neighbours are no nearer", (t) => {
	fc.assert(
		fc.property(fc.float({ min: -65504, max: 65504, noNaN: true }), (x) => {
			const word = bits(x) ?? 0;
			const off = Math.abs(value(word) - x);
			for (const near of [word - 1, word + 1])
				if ((near & 0x7c00) !== 0x7c00 && near >= 0)
					t.true(Math.abs(value(near) - x) >= off);
		}),
	);
});

test("bfloat16 and float64 convert too; integers are left alone", (t) => {
	const brain: Tensor = {
		dtype: "bfloat16",
		dims: [4],
		data: Uint16Array.of(0x3f80, 0xc000, 0x0000, 0x7f80),
	};
	const single = floats([1, -2, 0, Number.POSITIVE_INFINITY]);
	t.deepEqual(castFloat(brain, "float32"), single);
	t.deepEqual(castFloat(single, "bfloat16"), brain);
	t.deepEqual(
		castFloat(single, "float64").data,
		Float64Array.of(1, -2, 0, Number.POSITIVE_INFINITY),
	);
	t.deepEqual(
		castFloat(castFloat(single, "float64"), "float16").data,
		Uint16Array.of(0x3c00, 0xc000, 0, 0x7c00),
	);
	// Rounded to even, and a NaN stays one.
	const odd = floats([1 + 2 ** -8, 1 + 3 * 2 ** -8, Number.NaN]);
	const [a, b, c] = castFloat(odd, "bfloat16").data as Uint16Array;
	t.deepEqual([a, b], [0x3f80, 0x3f82]);
	t.true(((c ?? 0) & 0x7f80) === 0x7f80 && ((c ?? 0) & 0x7f) !== 0);
	const whole: Tensor = { dtype: "int8", dims: [1], data: Int8Array.of(3) };
	t.is(castFloat(whole, "float32"), whole);
});
