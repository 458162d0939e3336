/**
 * 32-bit mixing: the finaliser of MurmurHash3 (public domain, Austin Appleby).
 * Every bit of the input moves about half of the output's bits.
 */
function mix(x: number): number {
	let h = x >>> 0;
	h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
	h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
	return (h ^ (h >>> 16)) >>> 0;
}

/**
 * One row of standard normal noise. It depends on the seed and the row's number alone, not on what
 * was drawn before, so that overlapping windows agree on the rows they share.
 * Uniform numbers by mulberry32, made normal in pairs (Box-Muller): sqrt(-2 ln u) (cos, sin)(2 pi v).
 * @param out receives `out.length` values times `scale`
 */
export function noiseRow(
	seed: number,
	row: number,
	scale: number,
	out: Float32Array,
): void {
	let state = mix(mix(seed) ^ Math.imul(row + 1, 0x9e3779b9));
	const uniform = () => {
		state = (state + 0x6d2b79f5) | 0;
		let t = Math.imul(state ^ (state >>> 15), state | 1);
		t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
		// (0, 1): never 0, whose logarithm is infinite
		return ((t ^ (t >>> 14)) >>> 0) / 4294967296 + 2 ** -33;
	};
	for (let i = 0; i < out.length; i += 2) {
		const radius = scale * Math.sqrt(-2 * Math.log(uniform()));
		const angle = 2 * Math.PI * uniform();
		out[i] = radius * Math.cos(angle);
		if (i + 1 < out.length) out[i + 1] = radius * Math.sin(angle);
	}
}
