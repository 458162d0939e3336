/** A seeded source of uniform numbers in [0, 1). */
export type Random = () => number;

/** Mulberry32: 32 bits of state, fast, the same on every machine. */
export function random(seed: number): Random {
	let state = seed >>> 0;
	return () => {
		state = (state + 0x6d2b79f5) >>> 0;
		let t = state;
		t = Math.imul(t ^ (t >>> 15), t | 1);
		t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
		return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
	};
}

/** 32-bit FNV-1a of a string: a seed of its own for every named thing. */
export function hash(text: string): number {
	let h = 0x811c9dc5;
	for (let i = 0; i < text.length; i++) {
		h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
	}
	return h >>> 0;
}

/** Fisher-Yates in place; returns the same array. */
export function shuffle<T>(items: T[], next: Random): T[] {
	for (let i = items.length - 1; i > 0; i--) {
		const j = Math.floor(next() * (i + 1));
		const a = items[i] as T;
		items[i] = items[j] as T;
		items[j] = a;
	}
	return items;
}

/** One of `items`; they must not be empty. */
export function pick<T>(items: readonly T[], next: Random): T {
	return items[Math.floor(next() * items.length)] as T;
}

/** Element `index` (from 0) of the Halton sequence with this base, in (0, 1): even cover, no two bases correlated. */
export function halton(index: number, base: number): number {
	let result = 0;
	let fraction = 1 / base;
	for (let i = index + 1; i > 0; i = Math.floor(i / base)) {
		result += fraction * (i % base);
		fraction /= base;
	}
	return result;
}
