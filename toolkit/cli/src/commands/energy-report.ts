import { readFile, stat } from "node:fs/promises";
import {
	arch,
	availableParallelism,
	cpus,
	release,
	totalmem,
	type,
} from "node:os";
import { join } from "node:path";
import { WattvoxError, writeAtomic } from "@wattvox/core";
import type { LedgerLine, LedgerSummary } from "@wattvox/energy";
import { command } from "../command.ts";

const BY = ["stage", "steps", "epoch", "utterance"] as const;

export const energyReport = command({
	usage: "energy report <run>",
	about: "What a run has cost: by stage, steps, epoch or utterance",
	examples: [
		["energy report run/", "a table, and power over time"],
		["energy report run/ --by steps", "every twenty steps of each training"],
		[
			"energy report run/ --csv emissions.csv --carbon fixed:380",
			"in CodeCarbon's columns",
		],
		["energy report run/ --html report.html", "a page of its own"],
	],
	positionals: {
		run: {
			type: "string",
			demandOption: true,
			describe: "Folder of a run, or a ledger's file (energy.jsonl)",
		},
	},
	options: {
		by: {
			choices: BY,
			default: "stage" as const,
			describe: "What each row is",
		},
		csv: { type: "string", describe: "Write CSV in CodeCarbon's columns here" },
		html: { type: "string", describe: "Write a page here" },
		carbon: {
			type: "string",
			default: "unknown",
			describe:
				"Carbon intensity where it ran: fixed:G (g/kWh), csv:FILE, uk, electricitymaps:ZONE, watttime:REGION",
		},
	},
	async run(args, io) {
		const energy = await import("@wattvox/energy");
		const path = await ledgerPath(args.run);
		const lines = await energy.readLedger(path);
		const summary = energy.summarise(lines);
		if (summary.stages.length + summary.utterances.length === 0)
			throw new WattvoxError("E_FILE_FORMAT", `${path} books nothing yet`);
		const source = energy.openCarbonSource(args.carbon, { env: io.env });
		const carbon = await energy.weightedIntensity(
			lines,
			source,
			io.signal,
			io.progress.note,
		);
		const without = await unmeasured(args.run);
		const written: string[] = [];
		if (args.csv) {
			const { gramsPerKWh } = carbon;
			const csv = energy.ledgerCsv(lines, { gramsPerKWh, machine: machine() });
			await writeAtomic(args.csv, csv);
			written.push(args.csv);
		}
		if (args.html) {
			await writeAtomic(args.html, await page(args.run, summary, lines));
			written.push(args.html);
		}
		io.result(
			{
				...summary,
				carbon,
				grams: grams(summary, carbon.gramsPerKWh),
				...(without && { without: [without] }),
				written,
			},
			[
				...(await text(args.by, summary, lines)),
				emissions(summary, carbon),
				without && `Not in these figures, since it is unknown: ${without}.`,
				...written.map((w) => `written: ${w}`),
			]
				.filter(Boolean)
				.join("\n\n"),
		);
	},
});

/** A run's folder has its ledger in one of two places. */
async function ledgerPath(run: string): Promise<string> {
	const info = await stat(run).catch(() => undefined);
	if (!info) throw new WattvoxError("E_FILE_MISSING", `there is no ${run}`);
	if (!info.isDirectory()) return run;
	for (const place of [
		"energy.jsonl",
		"work/energy.jsonl",
		"run/energy.jsonl",
	]) {
		const path = join(run, place);
		if (await stat(path).catch(() => undefined)) return path;
	}
	throw new WattvoxError("E_FILE_MISSING", `${run} holds no energy.jsonl`);
}

/** Who else worked for a run: the speech server that taught it. Undefined: nobody. */
async function unmeasured(run: string): Promise<string | undefined> {
	const described = await readFile(join(run, "run.json"), "utf8")
		.then(JSON.parse)
		.catch(() => undefined);
	const teacher: unknown = described?.teacher;
	return typeof teacher === "string" ? `the teacher at ${teacher}` : undefined;
}

function machine() {
	return {
		os: `${type()}-${release()}-${arch()}`,
		cpuCount: availableParallelism(),
		cpuModel: cpus()[0]?.model.trim() ?? "",
		ramTotal: totalmem() / 2 ** 30,
	};
}

async function text(
	by: (typeof BY)[number],
	summary: LedgerSummary,
	lines: readonly LedgerLine[],
): Promise<string[]> {
	const { bar, formatDetail, formatLedger, powerChart, powerSteps } =
		await import("@wattvox/energy");
	if (by !== "stage")
		return [formatDetail(summary, by) || `Nothing was booked by ${by}.`];
	const outer = summary.stages.filter((s) => s.path.length === 1);
	const most = Math.max(...outer.map((s) => s.joules ?? 0));
	const widest = Math.max(...outer.map((s) => s.name.length));
	const bars = outer.map((s) =>
		`${s.name.padEnd(widest)}  ${s.joules === null ? "unknown" : bar(s.joules / most, 50)}`.trimEnd(),
	);
	const label = summary.total.measured ? "Power" : "Estimated power";
	const chart = powerChart(powerSteps(lines));
	return [
		formatLedger(summary),
		most > 0 ? bars.join("\n") : "",
		chart && `${label} over time\n${chart}`,
	];
}

interface Carbon {
	gramsPerKWh: number | null;
	source: string;
}

function grams({ total }: LedgerSummary, gramsPerKWh: number | null) {
	return total.joules === null || gramsPerKWh === null
		? null
		: (total.joules / 3.6e6) * gramsPerKWh;
}

function emissions(summary: LedgerSummary, carbon: Carbon): string {
	const found = grams(summary, carbon.gramsPerKWh);
	if (found === null || carbon.gramsPerKWh === null) return "";
	const label = summary.total.measured ? "" : "est. ";
	return `${label}${Number(found.toPrecision(3))} g CO2e at ${Number(carbon.gramsPerKWh.toPrecision(3))} g/kWh (${carbon.source}).`;
}

/** The report's own page, with the power over time as its chart. */
async function page(
	run: string,
	summary: LedgerSummary,
	lines: readonly LedgerLine[],
): Promise<string> {
	const [{ renderReport, reportPower, reportStages }, { powerSteps }] =
		await Promise.all([
			import("@wattvox/cloud-trainer"),
			import("@wattvox/energy"),
		]);
	const power = reportPower(summary);
	const points = powerSteps(lines).map((s): [number, number] => [
		(s.from + s.to) / 2,
		s.watts ?? Number.NaN,
	]);
	const kind = summary.total.measured ? "watts" : "watts (estimated)";
	const { total } = summary;
	return renderReport({
		title: "What it cost",
		createdAt: new Date(),
		voice: {
			name: run,
			about: summary.jobs.join(", ") || "A ledger of energy.",
			facts: [],
		},
		stages: reportStages(summary, {}),
		...(power && { power }),
		curves: [{ name: `power over time, s/${kind}`, points }],
		audio: [],
		spectrograms: [],
		figures: [
			{
				name: "energy",
				value: total.joules,
				unit: "J",
				estimated: !total.measured,
			},
			{
				name: "95 % interval of sampling, ±",
				value: total.plusMinus,
				unit: "J",
				estimated: !total.measured,
			},
			{
				name: "above the resting machine",
				value: total.aboveIdle?.joules ?? null,
				unit: "J",
				estimated: !total.measured,
			},
			{
				name: "time covered",
				value: 100 * total.coverage,
				unit: "%",
			},
		],
		notes: [],
	});
}
