import type { Series } from "@wattvox/energy";
import { Curve } from "./curve.ts";
import { totalSeconds } from "./interval.ts";
import type { RanSegment } from "./state.ts";

/** What waiting was worth, against the same work begun when it was asked for. */
export interface Saving {
	unit: string;
	/** Means over the time that was run, and over the time that running at once would have taken. */
	ran: number;
	atOnce: number;
	/** Share saved; negative: waiting cost more. */
	share: number;
	/** Kilowatt-hours of the work; null: unknown. */
	kWh: number | null;
	/** False when any of them is an estimate. */
	measured: boolean;
	/** Grams, or money, saved; null: the energy is unknown. */
	saved: number | null;
	/** "found": figures of what happened; "forecast": what had been expected. */
	basis: "found" | "forecast";
}

/**
 * The saving, weighted by each segment's energy where it is known and by its time elsewhere.
 * @returns undefined when the series does not know the time it would compare
 */
export function savingOf(
	series: Series,
	segments: readonly RanSegment[],
	submitted: number,
	basis: Saving["basis"],
): Saving | undefined {
	const seconds = totalSeconds(segments);
	if (seconds <= 0) return undefined;
	const curve = new Curve(series);
	const atOnceTime = { from: submitted, to: submitted + seconds * 1000 };
	// Guessing at either side would invent a saving.
	if (
		[atOnceTime, ...segments].some((i) => i.to > i.from && curve.known(i) < 0.9)
	)
		return undefined;
	const atOnce = curve.mean(atOnceTime);
	const known = segments.every((s) => s.joules !== null);
	const weight = (s: RanSegment) => (known ? (s.joules ?? 0) : s.to - s.from);
	const weights = segments.reduce((sum, s) => sum + weight(s), 0);
	if (atOnce === null || atOnce <= 0 || weights <= 0) return undefined;
	const ran =
		segments.reduce((sum, s) => sum + weight(s) * (curve.mean(s) ?? 0), 0) /
		weights;
	const kWh = known ? weights / 3.6e6 : null;
	return {
		unit: series.unit,
		ran,
		atOnce,
		share: 1 - ran / atOnce,
		kWh,
		measured: known && segments.every((s) => s.measured),
		saved: kWh === null ? null : kWh * (atOnce - ran),
		basis,
	};
}
