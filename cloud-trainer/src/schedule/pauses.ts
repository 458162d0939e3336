import type { Interval } from "./interval.ts";
import type { PlanInput } from "./plan.ts";

/** Slots that a plan is made of, at most; they are at least so long (milliseconds). */
const SLOTS = 192;
const SHORTEST = 300_000;

/**
 * The cheapest set of slots in which the work is done by the deadline, as stretches. Dynamic programming
 * over (slot, slots run so far, running or not): going on is free, starting again costs `pauseSeconds`
 * of work at that slot's price. Exact on its grid.
 *
 * @returns undefined when there is no such set
 */
export function withPauses(input: PlanInput): Interval[] | undefined {
	const { now, deadline, seconds, curve, window, pauseSeconds = 30 } = input;
	if (window?.kind === "starts") return undefined;
	const end = deadline - seconds * 1000 * (input.margin ?? 0.1);
	const step = Math.max(SHORTEST, Math.ceil((end - now) / SLOTS));
	const need = Math.ceil((seconds * 1000) / step);
	const slots: { from: number; cost: number }[] = [];
	for (let from = now; from + step <= end; from += step) {
		const to = from + step;
		if (window && !window.spans.some((s) => s.from <= from && to <= s.to))
			continue;
		slots.push({ from, cost: curve ? curve.sum({ from, to }) / step : 1 });
	}
	if (need === 0 || slots.length < need) return undefined;
	const chosen = cheapest(slots, need, step, (pauseSeconds * 1000) / step);
	if (!chosen) return undefined;
	return trim(chosen, step, seconds * 1000, pauseSeconds * 1000);
}

/** The slots run, in order. */
function cheapest(
	slots: readonly { from: number; cost: number }[],
	need: number,
	step: number,
	restart: number,
): number[] | undefined {
	// idle[j], busy[j]: least cost with j slots run, resting or running in the slot before.
	let idle = new Float64Array(need + 1).fill(Number.POSITIVE_INFINITY);
	let busy = new Float64Array(need + 1).fill(Number.POSITIVE_INFINITY);
	idle[0] = 0;
	/** Per slot and count: whether it ran, and whether it ran before. */
	const ran: Uint8Array[] = [];
	const rested: Uint8Array[] = [];
	for (const [i, { from, cost }] of slots.entries()) {
		const nextIdle = new Float64Array(need + 1).fill(Number.POSITIVE_INFINITY);
		const nextBusy = new Float64Array(need + 1).fill(Number.POSITIVE_INFINITY);
		const fromBusy = new Uint8Array(need + 1);
		const wasBusy = new Uint8Array(need + 1);
		const joined = i > 0 && slots[i - 1]?.from === from - step;
		// What can be run by now, and what must be for the rest to fit.
		const [least, most] = [
			need - (slots.length - 1 - i),
			Math.min(i + 1, need),
		];
		for (let j = Math.max(0, least); j <= most; j++) {
			const rest = idle[j] as number;
			const run = busy[j] as number;
			nextIdle[j] = Math.min(rest, run);
			wasBusy[j] = run < rest ? 1 : 0;
			if (j === 0) continue;
			const again = j > 1 ? restart * cost : 0;
			const restBefore = idle[j - 1] as number;
			const runBefore = busy[j - 1] as number;
			const fresh =
				Math.min(restBefore, joined ? restBefore : runBefore) + again;
			const on = joined ? runBefore : Number.POSITIVE_INFINITY;
			nextBusy[j] = Math.min(fresh, on) + cost;
			fromBusy[j] = on <= fresh || (!joined && runBefore < restBefore) ? 1 : 0;
		}
		ran.push(fromBusy);
		rested.push(wasBusy);
		idle = nextIdle;
		busy = nextBusy;
	}
	const least = Math.min(idle[need] as number, busy[need] as number);
	if (!Number.isFinite(least)) return undefined;
	const out: number[] = [];
	let running = (busy[need] as number) < (idle[need] as number);
	let left = need;
	for (let i = slots.length - 1; i >= 0; i--) {
		if (running) {
			out.push(slots[i]?.from as number);
			running = ran[i]?.[left] === 1;
			left--;
		} else running = rested[i]?.[left] === 1;
	}
	return out.reverse();
}

/** Slots as stretches; the last one ends when the work is done. */
function trim(
	slots: readonly number[],
	step: number,
	ms: number,
	pauseMs: number,
): Interval[] {
	const segments: Interval[] = [];
	for (const from of slots) {
		const last = segments.at(-1);
		if (last?.to === from) last.to = from + step;
		else segments.push({ from, to: from + step });
	}
	const planned = slots.length * step;
	const work = ms + (segments.length - 1) * pauseMs;
	const last = segments.at(-1);
	if (last) last.to = Math.max(last.from + 1000, last.to + work - planned);
	return segments;
}
