const f32 = new Float32Array(1);
const u32 = new Uint32Array(f32.buffer);

/** One float32 as IEEE 754 binary16, rounded to nearest even; overflow becomes infinity. */
function halfBits(value: number): number {
	f32[0] = value;
	const x = u32[0] ?? 0;
	const sign = (x >>> 16) & 0x8000;
	const exponent = (x >>> 23) & 0xff;
	const mantissa = x & 0x7fffff;
	if (exponent === 0xff) return sign | 0x7c00 | (mantissa ? 0x200 : 0);
	const e = exponent - 112;
	if (e >= 31) return sign | 0x7c00;
	if (e <= 0) {
		if (e < -10) return sign;
		const full = mantissa | 0x800000;
		const shift = 14 - e;
		const half = full >>> shift;
		const rest = full & ((1 << shift) - 1);
		const mid = 1 << (shift - 1);
		return sign | (half + (rest > mid || (rest === mid && half & 1) ? 1 : 0));
	}
	const half = (e << 10) | (mantissa >>> 13);
	const rest = mantissa & 0x1fff;
	// A carry out of the mantissa runs into the exponent, which is what rounding up means.
	return (
		sign | (half + (rest > 0x1000 || (rest === 0x1000 && half & 1) ? 1 : 0))
	);
}

/** float32 values as IEEE 754 binary16 words, rounded to nearest even. */
export function toHalf(values: Float32Array): Uint16Array {
	const out = new Uint16Array(values.length);
	for (let i = 0; i < values.length; i++) out[i] = halfBits(values[i] ?? 0);
	return out;
}

/** IEEE 754 binary16 words as float32 values. */
export function fromHalf(words: Uint16Array): Float32Array {
	const out = new Float32Array(words.length);
	const bits = new Int32Array(out.buffer);
	for (let i = 0; i < words.length; i++) {
		const h = words[i] ?? 0;
		const sign = (h & 0x8000) << 16;
		const exponent = h & 0x7c00;
		// The exponent's bias rises from 15 to 127.
		if (exponent !== 0 && exponent !== 0x7c00)
			bits[i] = sign | (((h & 0x7fff) << 13) + 0x38000000);
		else if (exponent === 0) out[i] = (sign ? -1 : 1) * (h & 0x3ff) * 2 ** -24;
		else bits[i] = sign | 0x7f800000 | ((h & 0x3ff) << 13);
	}
	return out;
}
