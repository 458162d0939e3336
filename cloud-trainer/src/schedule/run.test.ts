import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ManualClock, WattvoxError } from "@wattvox/core";
import type { CarbonSource, Series } from "@wattvox/energy";
import test, { type ExecutionContext } from "ava";
import { runScheduled, type ScheduleOptions } from "./run.ts";
import { formatPlan, formatSaving } from "./text.ts";

const HOUR = 3_600_000;
const T0 = Date.UTC(2026, 2, 4, 10, 0);
const STEP = 300_000;

function source(
	values: readonly number[],
	over: Partial<CarbonSource> = {},
): CarbonSource {
	const series = async (): Promise<Series> => ({
		source: "test",
		unit: "gCO2e/kWh",
		kind: "average",
		issuedAt: null,
		points: values.map((value, i) => ({
			from: T0 + i * HOUR,
			to: T0 + (i + 1) * HOUR,
			value,
		})),
	});
	return {
		name: "test",
		intensity: async () => null,
		forecast: series,
		history: series,
		...over,
	};
}

/** Work of `hours` on a clock that is moved by hand, in steps of five minutes; it remembers what is done. */
function labour(clock: ManualClock, hours: number) {
	let left = hours * HOUR;
	const ran: [number, number][] = [];
	return {
		ran,
		work: async (
			signal: AbortSignal,
			report: (r: {
				secondsLeft?: number;
				joules: number | null;
				measured: boolean;
			}) => void,
		) => {
			const from = clock.wall();
			const at = ran.push([(from - T0) / HOUR, 0]) - 1;
			let joules = 0;
			while (left > 0) {
				if (signal.aborted) throw new WattvoxError("E_INTERRUPTED", "stopped");
				await clock.sleep(STEP);
				left -= STEP;
				joules += 30_000;
				(ran[at] as [number, number])[1] = (clock.wall() - T0) / HOUR;
				report({ secondsLeft: left / 1000, joules, measured: true });
			}
			return "trained";
		},
	};
}

async function setting(t: ExecutionContext) {
	const dir = await mkdtemp(join(tmpdir(), "wattvox-schedule-"));
	t.teardown(() => rm(dir, { recursive: true, force: true }));
	const clock = new ManualClock(T0);
	/** Runs to its end while time passes. */
	const go = async <T>(
		o: Omit<ScheduleOptions<T>, "file" | "request" | "clock">,
	) => {
		let over = false;
		const running = runScheduled({
			file: join(dir, "schedule.json"),
			request: "same",
			clock,
			...o,
		}).finally(() => {
			over = true;
		});
		running.catch(() => undefined);
		while (!over) {
			// Files are written in real time: sleepers appear when that is done.
			while (!over && clock.sleeping === 0)
				await new Promise((resolve) => setImmediate(resolve));
			await clock.advance(STEP);
		}
		return running;
	};
	const state = async () =>
		JSON.parse(await readFile(join(dir, "schedule.json"), "utf8"));
	return { clock, go, state, file: join(dir, "schedule.json") };
}

test("waits for the cheap hours, tells the plan first, and the saving after", async (t) => {
	const { clock, go, state } = await setting(t);
	const { ran, work } = labour(clock, 1);
	const told: string[] = [];
	const done = await go({
		deadline: T0 + 8 * HOUR,
		seconds: 3600,
		source: source([400, 400, 400, 100, 400, 400, 400, 400]),
		work,
		mayPause: false,
		onPlan: (plan, about) =>
			void told.push(formatPlan(plan, { ...about, timezone: "UTC" })),
	});
	t.is(done.result, "trained");
	t.deepEqual(ran, [[3, 4]]);
	t.is(told.length, 1);
	t.is(
		told[0],
		[
			"1 h 00 min of work, to be done by Wed 18:00.",
			"               begins     ends       pauses  gCO2e/kWh  saves",
			"-------------  ---------  ---------  ------  ---------  -----",
			"  now          Wed 10:00  Wed 11:00                400",
			"> one stretch  Wed 13:00  Wed 14:00                100   75 %",
			"It starts where the single stretch costs least.",
		].join("\n"),
	);
	t.like(done.saving, {
		ran: 100,
		atOnce: 400,
		share: 0.75,
		basis: "found",
		measured: true,
	});
	t.is(
		formatSaving(done.saving),
		"Against running at once, waiting saved 75 %: 100 instead of 400 gCO2e/kWh, 30 g CO2e on 0.1 kWh (figures of what happened).",
	);
	t.like(await state(), { done: true, submitted: T0, left: 0 });
});

test("pauses in the dear hours at a checkpoint, and goes on", async (t) => {
	const { clock, go } = await setting(t);
	const { ran, work } = labour(clock, 2);
	const done = await go({
		deadline: T0 + 8 * HOUR,
		seconds: 7200,
		source: source([400, 100, 400, 400, 100, 400, 400, 400]),
		work,
	});
	t.is(ran.length, 2);
	t.true(
		Math.abs((ran[0]?.[0] ?? 0) - 1) < 0.1 &&
			Math.abs((ran[1]?.[0] ?? 0) - 4) < 0.1,
		`${ran}`,
	);
	t.true((done.saving?.share ?? 0) > 0.5);
});

test("a forecast that fails, at once or later, never stops the work, and it is said", async (t) => {
	const { clock, go } = await setting(t);
	const { ran, work } = labour(clock, 1);
	const notes: string[] = [];
	const fails = async () => {
		throw new WattvoxError("E_CARBON", "uk: no answer");
	};
	const done = await go({
		deadline: T0 + 8 * HOUR,
		seconds: 3600,
		source: source([], { forecast: fails, history: fails }),
		work,
		onPlan: (plan, about) => void notes.push(plan.why, ...about.notes),
	});
	t.deepEqual(ran, [[0, 1]]);
	t.deepEqual(notes, [
		"Nothing is known of the hours to come: it runs now.",
		"uk: no answer; it is not planned by",
	]);
	t.is(done.saving, undefined);
	t.regex(formatSaving(done.saving), /not known/);
});

test("a saving that is only the rounding of a sum is none", (t) => {
	const saving = {
		...{ ran: 0.3, atOnce: 0.3, kWh: 2e-6, measured: false },
		...{ unit: "per kWh", basis: "found" as const },
	};
	for (const digit of [1e-16, -1e-16])
		t.regex(
			formatSaving({ ...saving, share: digit, saved: digit * 1e-6 }),
			/waiting saved 0 %: 0.3 instead of 0.3 per kWh, est. 0 of the tariff's money/,
		);
	t.regex(
		formatSaving({ ...saving, share: -0.1, saved: -0.03 }),
		/waiting cost 10 %.* est. 0.03 of/,
	);
});

test("a forecast that turns while it waits changes the plan", async (t) => {
	const { clock, go } = await setting(t);
	const { ran, work } = labour(clock, 1);
	const first = source([400, 400, 400, 400, 400, 100, 400, 400]);
	const then = source([400, 400, 50, 400, 400, 300, 400, 400]);
	let asked = 0;
	let plans = 0;
	await go({
		deadline: T0 + 8 * HOUR,
		seconds: 3600,
		source: {
			...first,
			forecast: (...args) => (asked++ === 0 ? first : then).forecast(...args),
		},
		work,
		mayPause: false,
		onPlan: () => void plans++,
	});
	t.deepEqual(ran, [[2, 3]]);
	t.is(plans, 2);
});

test("interrupted, the same request goes on with its submission, deadline and work left", async (t) => {
	const { clock, go, state } = await setting(t);
	const user = new AbortController();
	const one = labour(clock, 2);
	const stopped = go({
		deadline: T0 + 6 * HOUR,
		seconds: 7200,
		source: source([100, 100, 100, 100, 100, 100, 100, 100]),
		signal: user.signal,
		work: (signal, report) =>
			one.work(signal, (r) => {
				report(r);
				if ((r.secondsLeft ?? 0) <= 3600)
					user.abort(new WattvoxError("E_INTERRUPTED", "interrupted"));
			}),
	});
	await t.throwsAsync(stopped, { message: "stopped" });
	t.like(await state(), { done: false, left: 3600 });
	await clock.advance(HOUR);
	const seen: number[] = [];
	const done = await go({
		deadline: T0 + 99 * HOUR,
		seconds: 7200,
		source: source([100, 100, 100, 100, 100, 100, 100, 100]),
		work: (signal, report) => one.work(signal, report),
		onPlan: (_, about) => void seen.push(about.deadline, about.seconds),
	});
	t.deepEqual(seen, [T0 + 6 * HOUR, 3600]);
	t.is(done.state.submitted, T0);
	t.is(done.state.segments.length, 2);
});

test("the work's own errors pass on, and a damaged state is an error", async (t) => {
	const { go, file } = await setting(t);
	const o = {
		deadline: T0 + 8 * HOUR,
		seconds: 60,
		source: source([100]),
	};
	await t.throwsAsync(
		go({
			...o,
			work: async () => {
				throw new WattvoxError("E_MODEL", "no");
			},
		}),
		{ message: "no" },
	);
	const { writeFile } = await import("node:fs/promises");
	await writeFile(file, "{}");
	await t.throwsAsync(go({ ...o, work: async () => 1 }), {
		message: /is no schedule/,
	});
});
