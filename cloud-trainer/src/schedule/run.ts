import { asWattvoxError, type Clock, systemClock } from "@wattvox/core";
import type { CarbonSource, Series } from "@wattvox/energy";
import { type Assessed, assess } from "./forecast.ts";
import { nextStep, type Plan, plan } from "./plan.ts";
import { type Saving, savingOf } from "./saving.ts";
import { loadSchedule, type ScheduleState, saveSchedule } from "./state.ts";
import { openWindow } from "./window.ts";

/** What the running work tells of itself. */
export interface WorkReport {
	/** Seconds of work left; undefined: unknown. */
	secondsLeft?: number | undefined;
	/** Joules of this call so far; null: unknown. */
	joules: number | null;
	measured: boolean;
}

export interface ScheduleOptions<T> {
	/** Where the state is kept. */
	file: string;
	/** What is asked for, as text: the same text goes on with the state in `file`. */
	request: string;
	/** By when it has to be done, milliseconds since 1970, if nothing was submitted before. */
	deadline: number;
	/** What the work is thought to take, seconds. */
	seconds: number;
	/** Carbon intensity or tariff. */
	source: CarbonSource;
	/** node-cron's syntax. */
	window?: string;
	timezone?: string;
	/** Default true. */
	mayPause?: boolean;
	/** How often a plan is looked at again while it waits, milliseconds. Default an hour. */
	lookMs?: number;
	/**
	 * The work: runs until it is done, or until the signal aborts, then leaves a checkpoint and throws
	 * E_INTERRUPTED. Called again, it goes on from there.
	 */
	work: (signal: AbortSignal, report: (r: WorkReport) => void) => Promise<T>;
	/** Told of each plan: the first, and every one that differs from the one before. */
	onPlan?: (plan: Plan, about: PlanContext) => void;
	/** Told before a wait, with its end. */
	onWait?: (until: number) => void;
	signal?: AbortSignal;
	clock?: Clock;
}

/** What a plan was made from. */
export interface PlanContext {
	now: number;
	deadline: number;
	seconds: number;
	unit: string | undefined;
	notes: readonly string[];
	/** What the unit is the sum of. */
	parts: readonly Series[];
}

export interface Scheduled<T> {
	result: T;
	state: ScheduleState;
	/** undefined: not known. */
	saving: Saving | undefined;
	/** Of what the unit is the sum of, as far as it is known. */
	parts: Saving[];
}

const HOUR = 3_600_000;

/**
 * Waits, runs, pauses and goes on as the plan says, looking at the forecast anew before each step.
 *
 * INVARIANTS
 * - The state on disk is written before the work starts and after it stops, so a process that is killed
 *   at any moment goes on with the same deadline and the same submission time.
 * - A forecast that fails never stops the work: it degrades to the window, or to now.
 * - Only this scheduler's own pauses are swallowed; a user's interrupt and the work's errors pass on.
 *
 * @throws whatever `work` throws; the signal's reason; WattvoxError E_USAGE, E_OUTPUT, E_FILE_FORMAT
 */
export async function runScheduled<T>(
	o: ScheduleOptions<T>,
): Promise<Scheduled<T>> {
	const clock = o.clock ?? systemClock;
	const state = await begin(o, clock.wall());
	let told = "";
	for (;;) {
		o.signal?.throwIfAborted();
		const now = clock.wall();
		const { assessed, series } = await look(o, now, state.deadline);
		if (series) state.forecast = series;
		const made = plan({
			now,
			deadline: state.deadline,
			seconds: state.left,
			curve: assessed.curve,
			window:
				o.window === undefined
					? undefined
					: openWindow(
							o.window,
							now,
							Math.max(state.deadline, now + 24 * HOUR),
							o.timezone,
						),
			mayPause: o.mayPause ?? true,
		});
		await saveSchedule(o.file, state);
		const sketch = JSON.stringify([
			made.chosen.segments.map((s) => Math.round(s.from / 600_000)),
			assessed.curve !== undefined,
		]);
		if (sketch !== told)
			o.onPlan?.(made, {
				now,
				deadline: state.deadline,
				seconds: state.left,
				unit: series?.unit,
				notes: assessed.notes,
				parts: series?.parts ?? [],
			});
		told = sketch;
		const step = nextStep(made, now, o.lookMs ?? HOUR);
		if (step.do === "wait") {
			o.onWait?.(made.chosen.segments[0]?.from ?? step.until);
			await clock.sleep(step.until - now, o.signal);
			continue;
		}
		const ended = await runSegment(o, state, clock, step.until);
		if (!("result" in ended)) continue;
		return { result: ended.result, state, ...(await settle(o, state)) };
	}
}

async function begin<T>(
	o: ScheduleOptions<T>,
	now: number,
): Promise<ScheduleState> {
	const kept = await loadSchedule(o.file);
	if (kept && kept.request === o.request && !kept.done) return kept;
	return {
		format: "wattvox-schedule/1",
		request: o.request,
		submitted: now,
		deadline: o.deadline,
		seconds: o.seconds,
		left: o.seconds,
		segments: [],
		done: false,
		forecast: null,
	};
}

/** The forecast until the deadline, judged. A source that fails is a note. */
async function look<T>(
	o: ScheduleOptions<T>,
	now: number,
	deadline: number,
): Promise<{ assessed: Assessed; series?: Series }> {
	const over = { from: now, to: Math.max(deadline, now + HOUR) };
	try {
		const series = await o.source.forecast(
			new Date(over.from),
			new Date(over.to),
			o.signal,
		);
		return { assessed: assess(series, over), series };
	} catch (thrown) {
		o.signal?.throwIfAborted();
		const { message } = asWattvoxError(thrown);
		return { assessed: { notes: [`${message}; it is not planned by`] } };
	}
}

const PAUSED = Symbol("paused");

async function runSegment<T>(
	o: ScheduleOptions<T>,
	state: ScheduleState,
	clock: Clock,
	until: number | undefined,
): Promise<{ result: T } | { paused: true }> {
	const from = clock.wall();
	const before = state.left;
	const segment = {
		from,
		to: from,
		joules: null as number | null,
		measured: false,
	};
	state.segments.push(segment);
	await saveSchedule(o.file, state);
	const pause = new AbortController();
	const over = new AbortController();
	const signals = [pause.signal, ...(o.signal ? [o.signal] : [])];
	if (until !== undefined)
		void clock.sleep(until - from, over.signal).then(
			() => pause.abort(PAUSED),
			() => undefined,
		);
	const note = () => {
		segment.to = Math.max(segment.from, clock.wall());
		// Work that says nothing of itself is taken by the clock.
		if (!spoke) state.left = Math.max(1, before - (segment.to - from) / 1000);
	};
	let spoke = false;
	let saving: Promise<void> = Promise.resolve();
	let saved = from;
	const report = ({ secondsLeft, joules, measured }: WorkReport) => {
		if (secondsLeft !== undefined) {
			spoke = true;
			state.left = Math.max(1, secondsLeft);
		}
		segment.joules = joules;
		segment.measured = measured;
		note();
		if (segment.to - saved < 60_000) return;
		saved = segment.to;
		// What a kill leaves: the segment up to here.
		saving = saving
			.then(() => saveSchedule(o.file, state))
			.catch(() => undefined);
	};
	try {
		const result = await o.work(AbortSignal.any(signals), report);
		state.left = 0;
		return { result };
	} catch (thrown) {
		if (o.signal?.aborted || pause.signal.reason !== PAUSED) throw thrown;
		if (asWattvoxError(thrown).code !== "E_INTERRUPTED") throw thrown;
		return { paused: true };
	} finally {
		over.abort();
		segment.to = Math.max(segment.from, clock.wall());
		if (!spoke && state.left > 0)
			state.left = Math.max(1, before - (segment.to - from) / 1000);
		await saving;
		await saveSchedule(o.file, state);
	}
}

/** What happened, where it is known by now, else what had been forecast. */
async function settle<T>(
	o: ScheduleOptions<T>,
	state: ScheduleState,
): Promise<Pick<Scheduled<T>, "saving" | "parts">> {
	const end = state.segments.at(-1)?.to ?? state.submitted;
	const ran = state.segments.reduce((ms, s) => ms + s.to - s.from, 0);
	state.done = true;
	await saveSchedule(o.file, state);
	const found = await o.source
		.history(
			new Date(state.submitted),
			new Date(Math.max(end, state.submitted + ran)),
			o.signal,
		)
		.catch(() => undefined);
	for (const [series, basis] of [
		[found, "found"],
		[state.forecast as Series | null, "forecast"],
	] as const) {
		const of = (some: Series) =>
			savingOf(some, state.segments, state.submitted, basis);
		const saving = series ? of(series) : undefined;
		if (series && saving)
			return {
				saving,
				parts: (series.parts ?? []).flatMap((p) => of(p) ?? []),
			};
	}
	return { saving: undefined, parts: [] };
}
