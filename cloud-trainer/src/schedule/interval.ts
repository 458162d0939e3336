/** A stretch of time, milliseconds since 1970; `to` is not part of it. */
export interface Interval {
	from: number;
	to: number;
}

export const lengthMs = ({ from, to }: Interval): number => to - from;

/** Seconds of all of them. */
export function totalSeconds(intervals: readonly Interval[]): number {
	return intervals.reduce((sum, i) => sum + lengthMs(i), 0) / 1000;
}
