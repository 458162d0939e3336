/** Two groups compared by a ratio of geometric means, with its interval. */
export interface Comparison {
	/** Devices in each group. */
	canary: number;
	control: number;
	/** Canary over control; 1.05 is 5 % more joules per second of speech. */
	ratio: number;
	/** 95 % interval of the ratio. */
	low: number;
	high: number;
	/** Welch's degrees of freedom. */
	freedom: number;
}

/** A device's figure and the kind of device it is: figures are compared within a kind. */
export interface Sample {
	value: number;
	kind: string;
}

/**
 * Canary against control: Welch's interval for the difference of mean logarithms, so a ratio, after
 * each kind of device was centred on its own control group. Devices of a kind that has fewer than two
 * controls are left out.
 *
 * B. L. Welch, "The generalization of Student's problem when several different population variances
 * are involved", Biometrika 34 (1947).
 * @returns undefined with fewer than `least` devices in a group
 */
export function compare(
	canary: readonly Sample[],
	control: readonly Sample[],
	least = 5,
	confidence = 0.95,
): Comparison | undefined {
	const kinds = new Map<string, number[]>();
	for (const { value, kind } of control)
		kinds.set(kind, [...(kinds.get(kind) ?? []), Math.log(value)]);
	const centre = new Map<string, number>();
	for (const [kind, logs] of kinds)
		if (logs.length >= 2) centre.set(kind, mean(logs));
	const centred = (samples: readonly Sample[]) =>
		samples.flatMap(({ value, kind }) => {
			const middle = centre.get(kind);
			return middle === undefined ? [] : [Math.log(value) - middle];
		});
	const [a, b] = [centred(canary), centred(control)];
	if (a.length < Math.max(2, least) || b.length < Math.max(2, least))
		return undefined;
	// a kind's centre costs the control group one degree of freedom
	const errorA = variance(a, a.length - 1) / a.length;
	const left = Math.max(1, b.length - used(control, centre));
	const errorB = variance(b, left) / b.length;
	const error = Math.sqrt(errorA + errorB);
	const freedom =
		error === 0
			? a.length + b.length - 2
			: (errorA + errorB) ** 2 /
				(errorA ** 2 / (a.length - 1) + errorB ** 2 / left);
	const difference = mean(a) - mean(b);
	const reach = studentQuantile((1 + confidence) / 2, freedom) * error;
	return {
		canary: a.length,
		control: b.length,
		ratio: Math.exp(difference),
		low: Math.exp(difference - reach),
		high: Math.exp(difference + reach),
		freedom,
	};
}

function used(
	control: readonly Sample[],
	centre: ReadonlyMap<string, number>,
): number {
	return new Set(control.filter((s) => centre.has(s.kind)).map((s) => s.kind))
		.size;
}

function mean(values: readonly number[]): number {
	return values.reduce((sum, v) => sum + v, 0) / values.length;
}

function variance(values: readonly number[], freedom: number): number {
	const middle = mean(values);
	return values.reduce((sum, v) => sum + (v - middle) ** 2, 0) / freedom;
}

/** The `p` quantile of Student's t distribution, by bisection of its distribution function. */
export function studentQuantile(p: number, freedom: number): number {
	if (p < 0.5) return -studentQuantile(1 - p, freedom);
	let [low, high] = [0, 1e6];
	for (let i = 0; i < 200 && high - low > 1e-12 * high; i++) {
		const middle = (low + high) / 2;
		// P(T <= t) = 1 - I_x(v/2, 1/2) / 2 with x = v / (v + t^2), for t >= 0
		const x = freedom / (freedom + middle ** 2);
		const below = 1 - incompleteBeta(x, freedom / 2, 0.5) / 2;
		if (below < p) low = middle;
		else high = middle;
	}
	return (low + high) / 2;
}

/**
 * The regularised incomplete beta function I_x(a, b) by its continued fraction (Abramowitz and Stegun
 * 26.5.8), evaluated by Lentz's method.
 */
export function incompleteBeta(x: number, a: number, b: number): number {
	if (x <= 0) return 0;
	if (x >= 1) return 1;
	// it converges fast on this side of the mean; the other side is its mirror
	if (x > (a + 1) / (a + b + 2)) return 1 - incompleteBeta(1 - x, b, a);
	const front =
		Math.exp(
			logGamma(a + b) -
				logGamma(a) -
				logGamma(b) +
				a * Math.log(x) +
				b * Math.log1p(-x),
		) / a;
	const tiny = 1e-300;
	let [f, c, d] = [1, 1, 0];
	for (let i = 0; i <= 500; i++) {
		const m = Math.floor(i / 2);
		const numerator =
			i === 0
				? 1
				: i % 2 === 0
					? (m * (b - m) * x) / ((a + 2 * m - 1) * (a + 2 * m))
					: (-(a + m) * (a + b + m) * x) / ((a + 2 * m) * (a + 2 * m + 1));
		d = 1 / (1 + numerator * d || tiny);
		c = 1 + numerator / c || tiny;
		f *= c * d;
		if (Math.abs(1 - c * d) < 1e-14) break;
	}
	return front * (f - 1);
}

/** ln Gamma by Lanczos's approximation (g = 7, nine terms); about 15 digits for x > 0. */
function logGamma(x: number): number {
	const terms = [
		0.99999999999980993, 676.5203681218851, -1259.1392167224028,
		771.32342877765313, -176.61502916214059, 12.507343278686905,
		-0.13857109526572012, 9.9843695780195716e-6, 1.5056327351493116e-7,
	];
	if (x < 0.5)
		return Math.log(Math.PI / Math.sin(Math.PI * x)) - logGamma(1 - x);
	const t = x + 6.5;
	const sum = terms.reduce(
		(total, c, i) => total + (i === 0 ? c : c / (x - 1 + i)),
		0,
	);
	return (
		0.5 * Math.log(2 * Math.PI) + (x - 0.5) * Math.log(t) - t + Math.log(sum)
	);
}
