import { seededRandom } from "@wattvox/models";

/** A point estimate and its 95 % interval. */
export interface Estimate {
	value: number;
	low: number;
	high: number;
}

/** Arithmetic mean; NaN for an empty list, because unknown is never 0. */
export function mean(xs: ArrayLike<number>): number {
	if (xs.length === 0) return Number.NaN;
	let sum = 0;
	for (let i = 0; i < xs.length; i++) sum += xs[i] ?? 0;
	return sum / xs.length;
}

/** Value at fraction q in [0, 1], linear between neighbours; NaN when empty. */
export function quantile(xs: ArrayLike<number>, q: number): number {
	if (xs.length === 0) return Number.NaN;
	const sorted = Float64Array.from(xs).sort();
	const at = q * (sorted.length - 1);
	const lo = Math.floor(at);
	const a = sorted[lo] ?? Number.NaN;
	const b = sorted[Math.min(lo + 1, sorted.length - 1)] ?? Number.NaN;
	// Equal neighbours (also two infinities) need no interpolation.
	return a === b ? a : a + (b - a) * (at - lo);
}

/** Cosine of the angle between two vectors of one length; 0 if either is all zero. */
export function cosine(a: ArrayLike<number>, b: ArrayLike<number>): number {
	let dot = 0;
	let aa = 0;
	let bb = 0;
	for (let i = 0; i < a.length; i++) {
		const x = a[i] ?? 0;
		const y = b[i] ?? 0;
		dot += x * y;
		aa += x * x;
		bb += y * y;
	}
	return aa > 0 && bb > 0 ? dot / Math.sqrt(aa * bb) : 0;
}

/** Mean of unit-scaled vectors, scaled to unit length: one voice from many clips. */
export function centroid(vectors: readonly Float32Array[]): Float32Array {
	const dim = vectors[0]?.length ?? 0;
	const sum = new Float64Array(dim);
	for (const v of vectors) {
		const n = Math.hypot(...v) || 1;
		for (let i = 0; i < dim; i++) sum[i] = (sum[i] ?? 0) + (v[i] ?? 0) / n;
	}
	const norm = Math.hypot(...sum) || 1;
	return Float32Array.from(sum, (x) => x / norm);
}

/**
 * Percentile bootstrap: `statistic` is given indices drawn with replacement
 * from 0..n-1. Resampling whole sentences keeps errors within one together.
 */
export function bootstrap(
	n: number,
	statistic: (indices: Uint32Array) => number,
	opts: { resamples?: number; seed?: number } = {},
): Estimate {
	const indices = Uint32Array.from({ length: n }, (_, i) => i);
	const value = statistic(indices);
	if (n === 0) return { value, low: Number.NaN, high: Number.NaN };
	const random = seededRandom(opts.seed ?? 1);
	const draws = new Float64Array(opts.resamples ?? 1000);
	for (let r = 0; r < draws.length; r++) {
		for (let i = 0; i < n; i++) indices[i] = Math.floor(random() * n);
		draws[r] = statistic(indices);
	}
	const known = draws.filter((x) => !Number.isNaN(x));
	return { value, low: quantile(known, 0.025), high: quantile(known, 0.975) };
}

/** Mean with a bootstrap interval. */
export function meanEstimate(xs: ArrayLike<number>): Estimate {
	return bootstrap(xs.length, (ix) => {
		let sum = 0;
		for (const i of ix) sum += xs[i] ?? 0;
		return sum / ix.length;
	});
}

/** Share of successes with the Wilson score interval (Wilson 1927), z = 1.96. */
export function shareEstimate(hits: number, of: number): Estimate {
	if (of === 0) return { value: Number.NaN, low: Number.NaN, high: Number.NaN };
	const z = 1.959964;
	const p = hits / of;
	const d = 1 + (z * z) / of;
	const mid = (p + (z * z) / (2 * of)) / d;
	const half =
		(z / d) * Math.sqrt((p * (1 - p)) / of + (z * z) / (4 * of * of));
	// At 0 and 1 the bound is the share itself; rounding must not cross it.
	return {
		value: p,
		low: Math.min(p, Math.max(0, mid - half)),
		high: Math.max(p, Math.min(1, mid + half)),
	};
}
