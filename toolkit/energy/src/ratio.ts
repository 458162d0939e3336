/** A figure with its 95 % interval: value ± plusMinus; null when there is too little to tell. */
export interface Figure {
	value: number;
	plusMinus: number | null;
}

/**
 * Two-sided 95 % quantile of Student's t with `df` degrees of freedom, within 1 %
 * (Cornish-Fisher expansion of the normal quantile, Abramowitz and Stegun 26.7.5).
 */
export function student95(df: number): number {
	if (df < 1) return Number.POSITIVE_INFINITY;
	// The expansion is poor for one and two: these are from the table.
	if (df === 1) return 12.706;
	if (df === 2) return 4.303;
	const z = 1.959964;
	const [z3, z5, z7] = [z ** 3, z ** 5, z ** 7];
	return (
		z +
		(z3 + z) / (4 * df) +
		(5 * z5 + 16 * z3 + 3 * z) / (96 * df ** 2) +
		(3 * z7 + 19 * z5 + 17 * z3 - 15 * z) / (384 * df ** 3)
	);
}

/** A figure before its interval is drawn. */
export interface Estimate {
	value: number;
	/** Variance of `value`; meaningless when `df` is 0. */
	variance: number;
	/** Degrees of freedom: how much scatter the variance was taken from. */
	df: number;
}

/**
 * R = sum(y) / sum(x) and the variance of R by the ratio estimator (Cochran, Sampling Techniques,
 * 6.3): var(R) = n / (n - 1) * sum((y - R x)^2) / sum(x)^2.
 */
export function ratio(pairs: readonly { x: number; y: number }[]): Estimate {
	const n = pairs.length;
	const x = pairs.reduce((sum, p) => sum + p.x, 0);
	const y = pairs.reduce((sum, p) => sum + p.y, 0);
	const value = y / x;
	const residuals = pairs.reduce((sum, p) => sum + (p.y - value * p.x) ** 2, 0);
	const variance = n < 2 ? 0 : ((n / (n - 1)) * residuals) / x ** 2;
	return { value, variance, df: n - 1 };
}

/** The figure with its 95 % interval. */
export function figure({ value, variance, df }: Estimate): Figure {
	return {
		value,
		plusMinus: df < 1 ? null : student95(df) * Math.sqrt(variance),
	};
}
