import { WattvoxError } from "@wattvox/core";

const UNITS: Record<string, number> = {
	s: 1,
	m: 60,
	min: 60,
	h: 3600,
	d: 86_400,
};

/**
 * A length of time: "90m", "12h", "1h30m", "2d".
 * @returns seconds
 * @throws WattvoxError E_USAGE
 */
export function parseLength(text: string, option: string): number {
	let seconds = 0;
	const rest = text
		.trim()
		.replace(
			/(\d+(?:\.\d+)?)\s*(min|[smhd])\s*/g,
			(_, amount: string, unit: string) => {
				seconds += Number(amount) * (UNITS[unit] as number);
				return "";
			},
		);
	if (rest !== "" || !(seconds > 0))
		throw new WattvoxError(
			"E_USAGE",
			`--${option} "${text}" is no length of time such as 90m, 12h or 2d`,
		);
	return seconds;
}

/**
 * A moment: a length of time from now ("12h"), a time of day, the next such ("07:00"), or a date
 * ("2026-05-01", "2026-05-01T07:00").
 * @returns milliseconds since 1970
 * @throws WattvoxError E_USAGE, also when it is past
 */
export function parseMoment(text: string, option: string, now: number): number {
	const clock = /^(\d{1,2}):(\d\d)$/.exec(text);
	if (clock) {
		const at = new Date(now);
		at.setHours(Number(clock[1]), Number(clock[2]), 0, 0);
		if (at.getTime() <= now) at.setDate(at.getDate() + 1);
		return at.getTime();
	}
	const date = /^\d{4}-\d\d-\d\d/.test(text) ? Date.parse(text) : Number.NaN;
	if (Number.isNaN(date)) return now + parseLength(text, option) * 1000;
	if (date <= now)
		throw new WattvoxError("E_USAGE", `--${option} ${text} is past`);
	return date;
}
