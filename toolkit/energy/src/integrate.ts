import type { CounterReading, PowerReading } from "./source.ts";

/** Energy over an interval, as far as it is known. */
export interface Energy {
	/** Joules over the covered part; null when nothing of it is covered. Never 0 for unknown. */
	joules: number | null;
	seconds: number;
	/** Share of the interval that the joules stand for, 0..1. */
	coverage: number;
	/**
	 * Half-width of the joules' 95 % interval: what sampling may have missed. It holds neither the
	 * sensor's calibration nor an estimate's assumption. null where nobody knows.
	 */
	plusMinus: number | null;
}

/** Sums that only rise; the energy of an interval is the difference of two of them. */
export interface MeterPoint {
	/** Monotonic clock, nanoseconds. */
	atNs: bigint;
	/** Joules since the meter started, over the covered part. */
	joules: number;
	/** Seconds since the meter started that those joules stand for. */
	coveredSeconds: number;
	/** What is known of their error; absent in ledgers of earlier versions. */
	error?: MeterError;
	/** Joules of each part of a source that is a sum, in its order. */
	parts?: readonly number[];
}

/** How far a meter's sums may be off, as far as its readings tell. */
export interface MeterError {
	/** Variance of the joules from what happened between two readings, J^2; it only rises. */
	variance: number;
	/** At the ends of any interval so many seconds are not seen ... */
	blindSeconds: number;
	/** ... in which the power may have differed by so much from what was read. */
	blindWatts: number;
}

/**
 * Energy between two points of one meter, with its 95 % interval:
 *
 *   plusMinus = 1.96 * sqrt(variance) + blindWatts * min(blindSeconds, length)
 *
 * The first term is the scatter of samples, the second a bound on what no sample could show.
 */
export function between(from: MeterPoint, to: MeterPoint): Energy {
	const seconds = Number(to.atNs - from.atNs) / 1e9;
	const covered = to.coveredSeconds - from.coveredSeconds;
	const { error } = to;
	const variance = (error?.variance ?? 0) - (from.error?.variance ?? 0);
	return {
		joules: covered > 0 ? to.joules - from.joules : null,
		seconds,
		coverage: seconds > 0 ? Math.min(1, covered / seconds) : 0,
		plusMinus:
			covered > 0 && error
				? NORMAL95 * Math.sqrt(Math.max(0, variance)) +
					error.blindWatts * Math.min(error.blindSeconds, seconds)
				: null,
	};
}

/** Two-sided 95 % quantile of the normal distribution. */
export const NORMAL95 = 1.959964;

export interface IntegrationLimits {
	/** A gauge that was silent for longer leaves a hole instead of a guess. Seconds. */
	maxGapSeconds: number;
	/** More than this on one rail is a counter that was reset, not energy. Watts. */
	maxWatts: number;
	/** A counter that stands still for longer is dead: the time is not covered. Seconds. */
	maxStillSeconds: number;
}

export const LIMITS: IntegrationLimits = {
	maxGapSeconds: 2,
	maxWatts: 5000,
	maxStillSeconds: 1,
};

/**
 * Joules and covered seconds, reading by reading. Readings that are not later than the one before
 * are ignored.
 */
export interface Integrator<R> {
	add(reading: R): MeterPoint;
}

/** A trapezoid's error where power changed once between two readings: uniform over the step. */
const STEP = 1 / 12;
/** The same where power rose and fell again at once: something shorter than the period was hit. */
const SPIKE = 1 / 2;
/** Readings in a row that may all have missed what happens 5 % of the time (the rule of three). */
const UNSEEN = 3;

/**
 * Trapezoid rule: exact when power is piecewise linear between the readings.
 *
 * What it may miss is told from the readings themselves. A change of d watts over t seconds happened
 * at an unknown moment: variance d^2 t^2 / 12. A reading that stands out from both neighbours hit
 * something of unknown length, which other readings will have missed: variance d^2 t^2 / 2 to each
 * side, that of independent samples. And n readings without an event say only that it takes up less
 * than 3/n of the time: at most three periods at the whole range of power seen so far, or at as much
 * again as was always drawn, whichever is more.
 *
 * @param lagSeconds a sensor that averages shows a change this much later
 */
export function integratePower(
	limits: Partial<IntegrationLimits> = {},
	lagSeconds = 0,
): Integrator<PowerReading> {
	const { maxGapSeconds } = { ...LIMITS, ...limits };
	let last: PowerReading | undefined;
	let change: { watts: number; squared: number; spike: boolean } | undefined;
	let [low, high, periods] = [
		Number.POSITIVE_INFINITY,
		Number.NEGATIVE_INFINITY,
		0,
	];
	let variance = 0;
	const sum = { joules: 0, coveredSeconds: 0 };
	const at = (atNs: bigint): MeterPoint => ({
		atNs,
		...sum,
		error: {
			variance,
			blindSeconds:
				lagSeconds +
				(periods > 0 ? UNSEEN * (sum.coveredSeconds / periods) : 0),
			// Before anything stood out: it may have been as much again as what was always there.
			blindWatts: periods > 0 ? Math.max(high - low, low) : 0,
		},
	});
	const scatter = (watts: number, dt: number) => {
		const squared = (watts * dt) ** 2;
		const spike = change !== undefined && change.watts * watts < 0;
		if (change && spike && !change.spike)
			variance += (SPIKE - STEP) * change.squared;
		variance += (spike ? SPIKE : STEP) * squared;
		change = { watts, squared, spike };
	};
	return {
		add(reading) {
			if (last && reading.atNs <= last.atNs) return at(last.atNs);
			low = Math.min(low, reading.watts);
			high = Math.max(high, reading.watts);
			const dt = last ? Number(reading.atNs - last.atNs) / 1e9 : 0;
			if (last && dt <= maxGapSeconds) {
				sum.joules += ((last.watts + reading.watts) / 2) * dt;
				sum.coveredSeconds += dt;
				periods++;
				scatter(reading.watts - last.watts, dt);
			} else change = undefined;
			last = reading;
			return at(reading.atNs);
		},
	};
}

/**
 * Differences of counters, modulo their ranges. The counters must be read at least once per turn
 * (a package counter of 65 kJ at 200 W turns in 5 minutes). A difference is off by what its two ends
 * do not show yet: the power of at most one period of the counter.
 *
 * @param periodSeconds how often the counter moves; a longer one is found out from the readings
 */
export function integrateCounter(
	ranges: readonly (bigint | null)[],
	limits: Partial<IntegrationLimits> = {},
	periodSeconds = 0,
): Integrator<CounterReading> {
	const { maxWatts, maxStillSeconds } = { ...LIMITS, ...limits };
	let last: CounterReading | undefined;
	/** Seconds since the counters last moved: covered once they move again. */
	let still = 0;
	let period = periodSeconds;
	let most = 0;
	const sum = { joules: 0, coveredSeconds: 0 };
	const at = (atNs: bigint): MeterPoint => ({
		atNs,
		...sum,
		error: { variance: 0, blindSeconds: period, blindWatts: most },
	});
	return {
		add(reading) {
			if (last && reading.atNs <= last.atNs) return at(last.atNs);
			if (last) {
				const dt = Number(reading.atNs - last.atNs) / 1e9;
				const joules = counterJoules(last, reading, ranges, maxWatts * dt + 1);
				still += dt;
				if (joules === null) still = 0;
				else if (joules > 0) {
					sum.joules += joules;
					const moved = still <= maxStillSeconds ? still : dt;
					sum.coveredSeconds += moved;
					// Some readings in between saw it stand: then its steps are that far apart.
					if (moved > dt) period = Math.max(period, moved);
					most = Math.max(most, joules / moved);
					still = 0;
				}
			}
			last = reading;
			return at(reading.atNs);
		},
	};
}

/** Sum over the rails, or null when one of them was reset. `most`: joules per rail. */
function counterJoules(
	from: CounterReading,
	to: CounterReading,
	ranges: readonly (bigint | null)[],
	most: number,
): number | null {
	let total = 0;
	for (const [rail, now] of to.microjoules.entries()) {
		let delta = now - (from.microjoules[rail] ?? now);
		if (delta < 0n) delta += ranges[rail] ?? 0n;
		const joules = Number(delta) / 1e6;
		if (joules < 0 || joules > most) return null;
		total += joules;
	}
	return total;
}
