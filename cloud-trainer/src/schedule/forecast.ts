import { formatSeconds } from "@wattvox/core";
import type { Series } from "@wattvox/energy";
import { Curve } from "./curve.ts";
import type { Interval } from "./interval.ts";

/** Older than this a forecast is of another day's weather. Milliseconds. */
export const STALE_MS = 6 * 3_600_000;
/** Less of the time known than this share, and nothing is planned by it. */
const ENOUGH = 0.5;

/** Whether a forecast can be planned by, and what is wrong with it. */
export interface Assessed {
	/** Present when it can be used. */
	curve?: Curve;
	/** What whoever reads the plan must know. */
	notes: string[];
}

/**
 * Judges a forecast before anything is planned by it: missing, stale, or mostly unknown ones are not
 * used, and it is said why.
 * @param over the time that is planned
 */
export function assess(
	series: Series,
	over: Interval,
	staleMs: number = STALE_MS,
): Assessed {
	const { source, issuedAt, points } = series;
	const notes = [...(series.notes ?? [])];
	const unusable = (why: string): Assessed => ({
		notes: [...notes, `${source}: ${why}; it is not planned by`],
	});
	if (points.every((p) => p.value === null))
		return unusable(
			points.length ? "it knows no value" : "it gave no forecast",
		);
	if (issuedAt !== null && over.from - issuedAt > staleMs)
		return unusable(
			`its forecast is ${formatSeconds((over.from - issuedAt) / 1000)} old`,
		);
	const curve = new Curve(series);
	const end = points.at(-1)?.to ?? over.from;
	const known = curve.known({ from: over.from, to: Math.min(over.to, end) });
	if (end <= over.from || known < ENOUGH)
		return unusable(
			end <= over.from
				? "its forecast ends in the past"
				: `it knows ${Math.floor(100 * known)} % of the time it speaks of`,
		);
	const all = curve.known(over);
	if (all < 0.995)
		notes.push(
			`${source} knows ${Math.floor(100 * all)} % of the time until the deadline; the rest counts as its highest value`,
		);
	return { curve, notes };
}
