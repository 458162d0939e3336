import { WattvoxError } from "@wattvox/core";

const UNITS: Readonly<Record<string, number>> = {
	m: 60_000,
	h: 3_600_000,
	d: 86_400_000,
	w: 7 * 86_400_000,
};

/**
 * The beginning of a span, as people say it: "7d" (also m, h, w) before now, "today", or a date.
 * Spans of two days and more begin with an hour, of two months and more with a day (UTC): the
 * roll-ups that answer them.
 * @returns milliseconds since 1970
 * @throws WattvoxError E_USAGE
 */
export function parseSince(text: string, now: number): number {
	const day = UNITS.d ?? 0;
	if (text === "today") return now - (now % day);
	const [, count, unit = ""] = /^(\d+(?:\.\d+)?)([mhdw])$/.exec(text) ?? [];
	const since =
		count === undefined
			? Date.parse(/^\d{4}-\d\d-\d\d/.test(text) ? text : "")
			: now - Number(count) * (UNITS[unit] ?? Number.NaN);
	if (!Number.isFinite(since) || since >= now)
		throw new WattvoxError(
			"E_USAGE",
			`"${text}" is no beginning: say 7d, 12h, today or 2026-05-01`,
		);
	const long = now - since;
	const grain = long >= 60 * day ? day : long >= 2 * day ? 3_600_000 : 60_000;
	return Math.max(0, Math.floor(since / grain) * grain);
}
