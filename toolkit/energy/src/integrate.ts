import type { CounterReading, PowerReading } from "./source.ts";

/** Energy over an interval, as far as it is known. */
export interface Energy {
	/** Joules over the covered part; null when nothing of it is covered. Never 0 for unknown. */
	joules: number | null;
	seconds: number;
	/** Share of the interval that the joules stand for, 0..1. */
	coverage: number;
}

/** Sums that only rise; the energy of an interval is the difference of two of them. */
export interface MeterPoint {
	/** Monotonic clock, nanoseconds. */
	atNs: bigint;
	/** Joules since the meter started, over the covered part. */
	joules: number;
	/** Seconds since the meter started that those joules stand for. */
	coveredSeconds: number;
}

/** Energy between two points of one meter. */
export function between(from: MeterPoint, to: MeterPoint): Energy {
	const seconds = Number(to.atNs - from.atNs) / 1e9;
	const covered = to.coveredSeconds - from.coveredSeconds;
	return {
		joules: covered > 0 ? to.joules - from.joules : null,
		seconds,
		coverage: seconds > 0 ? Math.min(1, covered / seconds) : 0,
	};
}

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

/** Trapezoid rule: exact when power is piecewise linear between the readings. */
export function integratePower(
	limits: Partial<IntegrationLimits> = {},
): Integrator<PowerReading> {
	const { maxGapSeconds } = { ...LIMITS, ...limits };
	let last: PowerReading | undefined;
	const sum = { joules: 0, coveredSeconds: 0 };
	return {
		add(reading) {
			if (last && reading.atNs <= last.atNs) return { atNs: last.atNs, ...sum };
			if (last) {
				const dt = Number(reading.atNs - last.atNs) / 1e9;
				if (dt <= maxGapSeconds) {
					sum.joules += ((last.watts + reading.watts) / 2) * dt;
					sum.coveredSeconds += dt;
				}
			}
			last = reading;
			return { atNs: reading.atNs, ...sum };
		},
	};
}

/**
 * Differences of counters, modulo their ranges. The counters must be read at least once per turn
 * (a package counter of 65 kJ at 200 W turns in 5 minutes).
 */
export function integrateCounter(
	ranges: readonly (bigint | null)[],
	limits: Partial<IntegrationLimits> = {},
): Integrator<CounterReading> {
	const { maxWatts, maxStillSeconds } = { ...LIMITS, ...limits };
	let last: CounterReading | undefined;
	/** Seconds since the counters last moved: covered once they move again. */
	let still = 0;
	const sum = { joules: 0, coveredSeconds: 0 };
	return {
		add(reading) {
			if (last && reading.atNs <= last.atNs) return { atNs: last.atNs, ...sum };
			if (last) {
				const dt = Number(reading.atNs - last.atNs) / 1e9;
				const joules = counterJoules(last, reading, ranges, maxWatts * dt + 1);
				still += dt;
				if (joules === null) still = 0;
				else if (joules > 0) {
					sum.joules += joules;
					sum.coveredSeconds += still <= maxStillSeconds ? still : dt;
					still = 0;
				}
			}
			last = reading;
			return { atNs: reading.atNs, ...sum };
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
