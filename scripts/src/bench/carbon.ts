import { parseArgs } from "node:util";
import {
	Curve,
	type Interval,
	nextStep,
	plan,
	totalSeconds,
} from "@wattvox/cloud-trainer";
import {
	catchInterrupts,
	plainProgress,
	silentProgress,
	table,
	WattvoxError,
} from "@wattvox/core";
import { boundByRules, type RuleBound } from "./carbon-rules.ts";
import {
	HOUR,
	NoisyForecast,
	syntheticYear,
	type Year,
	yearFromFile,
} from "./carbon-year.ts";

const USAGE = `npm run bench -- carbon [options]

Replays a year of hourly carbon intensity through the production scheduler.

  --csv FILE       a measured year: a time and a value column (default: a synthetic year)
  --stride N       submit a job every N hours (default 29: every hour of the day comes up)
  --sigma S        error of the realistic forecast an hour ahead (default 0.035)
  --seed N         of the synthetic year and of the errors (default 1)
  --json           for programs
`;

/** Job length and deadline, hours: the ones that published figures use, and around them. */
const JOBS: readonly (readonly [number, number])[] = [
	[1, 12],
	[1, 24],
	[4, 12],
	[4, 24],
	[8, 24],
	[8, 48],
	[24, 72],
];
/** Of what a perfect contiguous placement saves. */
const GOAL = 0.95;

/** Savings against running at once, as shares, over all submissions. */
export interface Row {
	hours: number;
	deadline: number;
	submissions: number;
	/** The best whole-hour start in hindsight. */
	perfectPlacement: number;
	/** The scheduler, told the truth: in one stretch, and with pauses. */
	perfectForecast: number;
	withPauses: number;
	/** The scheduler as it ships, with a forecast that errs, asked anew each hour. */
	realistic: number;
	/** Jobs of the last column that ended after their deadline. */
	late: number;
}

/** `bench carbon`: what waiting for a clean grid saves. */
export async function run(argv: string[]): Promise<void> {
	const { values: o } = parseArgs({
		args: argv,
		options: {
			csv: { type: "string" },
			stride: { type: "string", default: "29" },
			sigma: { type: "string", default: "0.035" },
			seed: { type: "string", default: "1" },
			json: { type: "boolean", default: false },
			help: { type: "boolean", default: false },
		},
	});
	if (o.help) return void process.stdout.write(USAGE);
	const [stride, sigma, seed] = [
		Number(o.stride),
		Number(o.sigma),
		Number(o.seed),
	];
	if (!(stride >= 1 && sigma >= 0 && Number.isSafeInteger(seed)))
		throw new WattvoxError("E_USAGE", USAGE);
	const interrupts = catchInterrupts();
	const progress = o.json
		? silentProgress
		: plainProgress((line) => process.stderr.write(`${line}\n`));
	try {
		const year = o.csv ? await yearFromFile(o.csv) : syntheticYear(seed);
		const rows: Row[] = [];
		const bounds: RuleBound[] = [];
		for (const [hours, deadline] of JOBS) {
			const task = progress.task(`${hours} h within ${deadline} h`);
			const noisy = new NoisyForecast(year, sigma, seed + 100);
			rows.push(
				await replay(year, noisy, hours, deadline, stride, interrupts.signal),
			);
			// A longer job may be split, and then no single start is to be chosen.
			if (hours === 1)
				bounds.push(boundByRules(year, noisy, sigma, deadline, stride));
			task.finish();
		}
		process.stdout.write(
			o.json
				? `${JSON.stringify({ year: year.name, stride, sigma, seed, rows, bounds }, null, "\t")}\n`
				: report(year, rows, bounds, sigma),
		);
	} finally {
		interrupts.stop();
	}
}

/** Every submission of one kind of job. */
export async function replay(
	year: Year,
	noisy: NoisyForecast,
	hours: number,
	deadline: number,
	stride: number,
	signal?: AbortSignal,
): Promise<Row> {
	const truth = curveOf(year, 0, year.values);
	const sums = { now: 0, placement: 0, forecast: 0, pauses: 0, realistic: 0 };
	let [submissions, late] = [0, 0];
	const last = year.values.length - deadline - hours - 1;
	for (let at = 0; at < last; at += stride) {
		if (submissions++ % 32 === 0)
			await new Promise((resolve) => setImmediate(resolve));
		signal?.throwIfAborted();
		const start = year.start + at * HOUR;
		const mean = (segments: readonly Interval[]) =>
			segments.reduce((sum, s) => sum + truth.sum(s), 0) /
			(totalSeconds(segments) * 1000);
		const input = {
			now: start,
			deadline: start + deadline * HOUR,
			seconds: hours * 3600,
			curve: curveOf(year, at, year.values.slice(at, at + deadline)),
		};
		sums.now += mean([{ from: start, to: start + hours * HOUR }]);
		sums.placement += bestPlacement(year, at, hours, deadline);
		sums.forecast += mean(plan({ ...input, mayPause: false }).chosen.segments);
		sums.pauses += mean(plan({ ...input, mayPause: true }).chosen.segments);
		const ran = simulate(year, noisy, at, hours, deadline);
		sums.realistic += mean(ran);
		if ((ran.at(-1)?.to ?? 0) > input.deadline + 1000) late++;
	}
	const saved = (sum: number) => 1 - sum / sums.now;
	return {
		hours,
		deadline,
		submissions,
		perfectPlacement: saved(sums.placement),
		perfectForecast: saved(sums.forecast),
		withPauses: saved(sums.pauses),
		realistic: saved(sums.realistic),
		late,
	};
}

function curveOf(year: Year, at: number, values: readonly number[]): Curve {
	return new Curve({
		source: year.name,
		unit: "gCO2e/kWh",
		kind: "average",
		issuedAt: null,
		points: values.map((value, i) => ({
			from: year.start + (at + i) * HOUR,
			to: year.start + (at + i + 1) * HOUR,
			value,
		})),
	});
}

/** By trying every whole hour, without the scheduler: what it is held against. */
function bestPlacement(
	{ values }: Year,
	at: number,
	hours: number,
	deadline: number,
): number {
	let best = Number.POSITIVE_INFINITY;
	for (let s = at; s + hours <= at + deadline; s++) {
		let sum = 0;
		for (let k = s; k < s + hours; k++) sum += values[k] as number;
		best = Math.min(best, sum / hours);
	}
	return best;
}

/** Restarting costs so much work, seconds: the planner's own default. */
const PAUSE_SECONDS = 30;

/** One job as the scheduler runs it: a plan an hour while it waits, and after each pause. */
function simulate(
	year: Year,
	noisy: NoisyForecast,
	at: number,
	hours: number,
	within: number,
): Interval[] {
	const deadline = year.start + (at + within) * HOUR;
	let now = year.start + at * HOUR;
	let left = hours * 3600;
	const ran: Interval[] = [];
	for (;;) {
		const hour = Math.floor((now - year.start) / HOUR);
		const horizon = Math.ceil((deadline - year.start) / HOUR) - hour;
		const made = plan({
			now,
			deadline,
			seconds: left,
			mayPause: true,
			curve: curveOf(year, hour, noisy.from(hour, Math.max(1, horizon))),
		});
		const step = nextStep(made, now, HOUR);
		if (step.do === "wait") {
			now = step.until;
			continue;
		}
		const end = now + left * 1000;
		if (step.until === undefined || step.until >= end) {
			ran.push({ from: now, to: end });
			return ran;
		}
		ran.push({ from: now, to: step.until });
		left = left - (step.until - now) / 1000 + PAUSE_SECONDS;
		now = step.until;
	}
}

function report(
	year: Year,
	rows: readonly Row[],
	bounds: readonly RuleBound[],
	sigma: number,
): string {
	const percent = (share: number) => `${(100 * share).toFixed(1)} %`;
	const cells = rows.map((r) => {
		const share = r.realistic / r.perfectPlacement;
		return [
			`${r.hours} h within ${r.deadline} h`,
			percent(r.perfectPlacement),
			percent(r.perfectForecast),
			percent(r.withPauses),
			percent(r.realistic),
			percent(share),
			share >= GOAL ? "met" : "MISSED",
			String(r.late),
		];
	});
	const hindsight = bounds.map(
		(b) =>
			`1 h within ${b.deadline} h: waiting for the smallest forecast ${percent(b.plain)} of the best placement; the best of ${b.rules} rules, chosen in hindsight, ${percent(b.best)}`,
	);
	return `${year.name}: ${year.values.length} hours, ${rows[0]?.submissions ?? 0} submissions of each job; saved against running at once

${table(["job", "best placement", "one stretch", "with pauses", "realistic", "of the best", `>= ${percent(GOAL)}`, "late"], cells, ["left", "right", "right", "right", "right", "right", "left", "right"])}

best placement: in hindsight, at a whole hour, without a margin. One stretch, with pauses: the scheduler,
told the truth, with its margin of 10 %. Realistic: the scheduler with pauses, its forecast off by
${percent(sigma)} an hour ahead and ${percent(3.06 * sigma)} a day ahead, asked anew each hour.

${hindsight.join("\n")}
`;
}
