import type { Curve } from "./curve.ts";
import { type Interval, totalSeconds } from "./interval.ts";
import { withPauses } from "./pauses.ts";
import type { Window } from "./window.ts";

/** Everything a plan depends on; the planner looks at nothing else. */
export interface PlanInput {
	/** Milliseconds since 1970. */
	now: number;
	/** By when the work has to be done. */
	deadline: number;
	/** Work left, seconds of running. */
	seconds: number;
	/** What a kilowatt-hour costs when; undefined: nobody knows. */
	curve?: Curve | undefined;
	/** When it may run; undefined: always. */
	window?: Window | undefined;
	/** Whether it may stop at a checkpoint and go on later. */
	mayPause: boolean;
	/** Work that every pause costs: writing and reading the checkpoint. Seconds. */
	pauseSeconds?: number;
	/** Share by which the work may take longer than thought. Default 0.1. */
	margin?: number;
	/** Waiting must save at least this share. Default 0.01. */
	worth?: number;
}

/** One way to do the work. */
export interface Option {
	name: "now" | "window" | "one stretch" | "with pauses";
	segments: Interval[];
	/** Mean cost over the segments, in the series's unit; null: unknown. */
	mean: number | null;
	/** Share saved against running now; null: unknown. */
	saving: number | null;
	/** Whether it is done by the deadline, margin included. */
	inTime: boolean;
}

export interface Plan {
	chosen: Option;
	/** Every way that was weighed, "now" first. */
	options: Option[];
	/** One sentence. */
	why: string;
}

/**
 * Chooses when to run. Pure: the same input gives the same plan.
 *
 * INVARIANTS
 * - Work that can be done by the deadline is planned to be; the margin counts as work.
 * - Outside a window nothing is planned, unless the deadline can only be met so.
 * - Without a usable forecast it is the first opening of the window, or now.
 */
export function plan(input: PlanInput): Plan {
	const { curve, worth = 0.01 } = input;
	const options = weigh(input);
	const now = options[0] as Option;
	const allowed = options.filter((o) => o.name !== "now" || mayRunNow(input));
	const inTime = allowed.filter((o) => o.inTime);
	const choose = (chosen: Option, why: string): Plan => ({
		chosen,
		options,
		why,
	});
	if (inTime.length === 0) {
		const late =
			input.now + now.segments.reduce((ms, s) => ms + s.to - s.from, 0);
		return choose(
			now,
			late > input.deadline
				? "The deadline cannot be met: it runs now."
				: allowed.some((o) => o.name !== "now") || input.window
					? "Only running now, outside the window, meets the deadline."
					: "Only running now meets the deadline.",
		);
	}
	const first =
		inTime.find((o) => o.name === "now") ??
		inTime.find((o) => o.name === "window") ??
		(inTime[0] as Option);
	if (!curve)
		return choose(
			first,
			first.name === "now"
				? "Nothing is known of the hours to come: it runs now."
				: "Nothing is known of the hours to come: it runs when the window opens.",
		);
	// The simplest first: each more complicated way has to be worth it.
	let best = first;
	for (const option of inTime)
		if (
			option.mean !== null &&
			best.mean !== null &&
			option.mean < best.mean * (1 - worth)
		)
			best = option;
	if (best === first)
		return choose(
			first,
			first.name === "now"
				? "No later time is better by enough."
				: "No later time in the window is better by enough.",
		);
	return choose(
		best,
		best.name === "with pauses"
			? "Pausing while it is dear saves more than any single stretch."
			: "It starts where the single stretch costs least.",
	);
}

/** What to do with a plan at this moment. */
export type Step =
	/** Look again at `until` at the latest: better forecasts may have come. */
	| { do: "wait"; until: number }
	/** Run; `until` is when to pause, undefined: until it is done. */
	| { do: "run"; until: number | undefined };

/** @param lookMs how often a plan is made anew while it waits */
export function nextStep({ chosen }: Plan, now: number, lookMs: number): Step {
	const [first, second] = chosen.segments;
	if (first && first.from > now)
		return { do: "wait", until: Math.min(first.from, now + lookMs) };
	// The last segment runs until the work is done, however long that takes.
	return { do: "run", until: second && first ? first.to : undefined };
}

function mayRunNow({ window, now, seconds }: PlanInput): boolean {
	if (!window) return true;
	if (window.kind === "starts")
		return window.starts.some((at) => at <= now && now < at + 60_000);
	return window.spans.some(
		(s) => s.from <= now && s.to >= now + seconds * 1000,
	);
}

/** Every way there is, "now" first. */
function weigh(input: PlanInput): Option[] {
	const { now, seconds, window, curve } = input;
	const ms = seconds * 1000;
	const at = (from: number): Interval => ({ from, to: from + ms });
	const mean = (segments: readonly Interval[]) => {
		if (!curve) return null;
		const all = segments.reduce((sum, s) => sum + curve.sum(s), 0);
		const value = all / (totalSeconds(segments) * 1000);
		return Number.isFinite(value) ? value : null;
	};
	const nowMean = mean([at(now)]);
	const option = (name: Option["name"], segments: Interval[]): Option => {
		const value = mean(segments);
		const end = (segments.at(-1)?.to ?? now) + ms * (input.margin ?? 0.1);
		return {
			name,
			segments,
			mean: value,
			saving: value === null || !nowMean ? null : 1 - value / nowMean,
			inTime: end <= input.deadline,
		};
	};
	const options = [option("now", [at(now)])];
	const starts = startTimes(input);
	if (window && starts[0] !== undefined && starts[0] > now)
		options.push(option("window", [at(starts[0])]));
	if (curve) {
		const cheapest = bestStart(starts, ms, curve);
		if (cheapest !== undefined && cheapest > now)
			options.push(option("one stretch", [at(cheapest)]));
	}
	const cut = input.mayPause ? withPauses(input) : undefined;
	if (cut && cut.length > 1) options.push(option("with pauses", cut));
	return options;
}

/**
 * When a single stretch may begin. The mean over a sliding stretch of a step function has its lowest
 * value where one of its ends is at a step, so only those, the window's edges and now are tried.
 */
function startTimes({
	now,
	deadline,
	seconds,
	curve,
	window,
	margin = 0.1,
}: PlanInput): number[] {
	const ms = seconds * 1000;
	const latest = deadline - ms * (1 + margin);
	if (window?.kind === "starts")
		return window.starts.filter((at) => at >= now && at <= latest);
	const spans = window?.spans ?? [{ from: now, to: Number.POSITIVE_INFINITY }];
	const steps = curve ? curve.breaks.flatMap((b) => [b, b - ms]) : [];
	const all = spans.flatMap(({ from, to }) => {
		const [low, high] = [Math.max(from, now), Math.min(latest, to - ms)];
		if (low > high) return [];
		return [low, high, ...steps.filter((s) => s > low && s < high)];
	});
	return [...new Set(all)].sort((a, b) => a - b);
}

/** The earliest of the cheapest. */
function bestStart(
	starts: readonly number[],
	ms: number,
	curve: Curve,
): number | undefined {
	let best: number | undefined;
	let least = Number.POSITIVE_INFINITY;
	for (const from of starts) {
		const sum = curve.sum({ from, to: from + ms });
		if (
			sum <
			least - 1e-9 * Math.abs(least === Number.POSITIVE_INFINITY ? 0 : least)
		) {
			least = sum;
			best = from;
		}
	}
	return best;
}
