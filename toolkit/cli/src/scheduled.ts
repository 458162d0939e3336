import { join } from "node:path";
import type { Saving, WorkReport } from "@wattvox/cloud-trainer";
import { ensureWritableDir, WattvoxError } from "@wattvox/core";
import type { InferredOptionTypes } from "yargs";
import type { Io, OptionTable } from "./command.ts";
import { parseLength, parseMoment } from "./when.ts";

/** When to train: shared by every command whose work takes long and can go on from a checkpoint. */
export const SCHEDULE_OPTIONS = {
	deadline: {
		type: "string",
		describe: "By when it has to be done: 12h, 07:00 or 2026-05-01T07:00",
	},
	window: {
		type: "string",
		describe:
			'When it may run, as a cron pattern: "* 22-23,0-5 * * *" (at night), "0 22 * * *" (it starts at 22:00)',
	},
	carbon: {
		type: "string",
		describe:
			"Run when the grid is cleanest: electricitymaps:ZONE, watttime:REGION, uk, csv:FILE, fixed:G",
	},
	tariff: {
		type: "string",
		describe: "Run when power is cheapest: csv:FILE with money per kWh",
	},
	"carbon-price": {
		type: "number",
		describe:
			"With --carbon and --tariff: what a tonne of CO2e is worth, in the tariff's money; both then make one price",
	},
	takes: {
		type: "string",
		describe: "How long the work will take, such as 90m; by default a guess",
	},
	pause: {
		type: "boolean",
		default: true,
		describe: "May stop at checkpoints; --no-pause: in one stretch",
	},
} as const satisfies OptionTable;

export type ScheduleArgs = InferredOptionTypes<typeof SCHEDULE_OPTIONS>;

/** What a schedule came to, for `--json`. */
export interface ScheduleResult {
	submitted: string;
	deadline: string;
	segments: { from: string; to: string; joules: number | null }[];
	saving: Saving | null;
	/** With --carbon-price: of the tariff and of carbon, each in its own unit. */
	parts: Saving[];
}

/** Work that can be interrupted and called again; it says how far it is. */
export type Work<T> = (io: Io, report: (r: WorkReport) => void) => Promise<T>;

const DAY_MS = 86_400_000;

/**
 * Runs work when its schedule says, or at once when none is asked for.
 * @param dir where the schedule's state is kept
 * @param takes how long the work is thought to take when nobody says
 */
export async function scheduled<T>(
	args: ScheduleArgs,
	io: Io,
	dir: string,
	takes: string,
	work: Work<T>,
): Promise<{ value: T; schedule: ScheduleResult | null; text: string }> {
	const { deadline, window, carbon, tariff } = args;
	const price = args["carbon-price"];
	const two = carbon !== undefined && tariff !== undefined;
	if (two !== (price !== undefined))
		throw new WattvoxError(
			"E_USAGE",
			two
				? "--carbon and --tariff: say with --carbon-price what a tonne of CO2e is worth, or give one of them"
				: "--carbon-price goes with --carbon and --tariff",
		);
	if ([deadline, window, carbon, tariff].every((o) => o === undefined)) {
		const value = await work(io, () => undefined);
		return { value, schedule: null, text: "" };
	}
	const [trainer, energy] = await Promise.all([
		import("@wattvox/cloud-trainer"),
		import("@wattvox/energy"),
	]);
	const grid = () =>
		energy.openCarbonSource(carbon ?? "unknown", { env: io.env });
	const source =
		tariff === undefined
			? grid()
			: price === undefined
				? energy.openTariff(tariff)
				: energy.pricedCarbon(energy.openTariff(tariff), grid(), price);
	const now = Date.now();
	// Before anything waits: a mistake in a pattern is told now, not at night.
	if (window !== undefined) trainer.openWindow(window, now, now + DAY_MS);
	const seconds = parseLength(args.takes ?? takes, "takes");
	const by =
		deadline === undefined
			? now + DAY_MS
			: parseMoment(deadline, "deadline", now);
	await ensureWritableDir(dir);
	if (deadline === undefined)
		io.progress.note("no --deadline: it is done within 24 hours");
	if (args.takes === undefined)
		io.progress.note(`no --takes: ${takes} is assumed`);
	const { result, state, saving, parts } = await trainer.runScheduled({
		file: join(dir, trainer.SCHEDULE_FILE),
		request: JSON.stringify([
			...[deadline, window, carbon, tariff, args.takes],
			...(price === undefined ? [] : [price]),
		]),
		deadline: by,
		seconds,
		source,
		mayPause: args.pause,
		signal: io.signal,
		...(window !== undefined && { window }),
		onPlan: (plan, about) =>
			io.progress.note(`\n${trainer.formatPlan(plan, about)}\n`),
		onWait: (until) =>
			io.progress.note(
				`waiting until ${trainer.formatMoment(until, Date.now())}; Ctrl-C ends it, the same command goes on`,
			),
		work: (signal, report) => work({ ...io, signal }, report),
	});
	const iso = (at: number) => new Date(at).toISOString();
	return {
		value: result,
		schedule: {
			submitted: iso(state.submitted),
			deadline: iso(state.deadline),
			segments: state.segments.map((s) => ({
				from: iso(s.from),
				to: iso(s.to),
				joules: s.joules,
			})),
			saving: saving ?? null,
			parts,
		},
		text: `\n\n${trainer.formatSaving(saving, parts)}`,
	};
}
