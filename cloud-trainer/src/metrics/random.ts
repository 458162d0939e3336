/**
 * Mulberry32 (Tommy Ettinger, public domain): a small seeded generator, so that
 * every interval printed by a benchmark comes out the same on every machine.
 *
 * @returns uniform numbers in [0, 1)
 */
export function seededRandom(seed: number): () => number {
	let a = seed >>> 0;
	return () => {
		a = (a + 0x6d2b79f5) >>> 0;
		let t = a;
		t = Math.imul(t ^ (t >>> 15), t | 1);
		t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
		return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
	};
}
