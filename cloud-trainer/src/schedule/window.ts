import { WattvoxError } from "@wattvox/core";
import { createTask, validateDetailed } from "node-cron";
import type { Interval } from "./interval.ts";

const MINUTE = 60_000;

/**
 * When work may run. `spans`: within them. `starts`: it may begin at these moments and then runs on
 * until it is done.
 */
export type Window =
	| { kind: "spans"; spans: Interval[] }
	| { kind: "starts"; starts: number[] };

/**
 * The window that a pattern in node-cron's syntax opens between two moments. Minutes that match one
 * after the other make a span ("* 22-23,0-5 * * *": from 22:00 to 06:00); a pattern whose minutes
 * stand alone names starts ("0 22 * * *": at 22:00).
 * @param timezone IANA name; by default the machine's own
 * @throws WattvoxError E_USAGE
 */
export function openWindow(
	pattern: string,
	from: number,
	to: number,
	timezone?: string,
): Window {
	const { valid, errors } = validateDetailed(pattern);
	if (!valid)
		throw new WattvoxError(
			"E_USAGE",
			`--window "${pattern}": ${errors.map((e) => e.message).join("; ") || "is no cron pattern"}`,
		);
	let matches: (at: Date) => boolean;
	try {
		const task = createTask(pattern, () => undefined, {
			...(timezone !== undefined && { timezone }),
		});
		matches = (at) => task.match(at);
		matches(new Date(from));
	} catch (cause) {
		throw new WattvoxError(
			"E_USAGE",
			`--window "${pattern}": ${(cause as Error).message}`,
			{ cause },
		);
	}
	const spans: Interval[] = [];
	const first = Math.floor(from / MINUTE) * MINUTE;
	for (let at = first; at < to; at += MINUTE) {
		if (!matches(new Date(at))) continue;
		const last = spans.at(-1);
		if (last?.to === at) last.to = at + MINUTE;
		else spans.push({ from: at, to: at + MINUTE });
	}
	if (spans.length > 0 && spans.every((s) => s.to - s.from <= MINUTE))
		return {
			kind: "starts",
			starts: spans.map((s) => Math.max(from, s.from)),
		};
	return {
		kind: "spans",
		spans: spans.map((s) => ({
			from: Math.max(from, s.from),
			to: Math.min(to, s.to),
		})),
	};
}
