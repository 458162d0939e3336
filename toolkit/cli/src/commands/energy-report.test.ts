import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { temporaryDir } from "@wattvox/bundle/testing";
import test from "ava";
import { cli } from "../testing.ts";

const point = (seconds: number, joules: number) => ({
	ns: String(seconds * 1e9),
	joules,
	coveredSeconds: seconds,
	error: { variance: 0, blindSeconds: 0.1, blindWatts: 20 },
});
const LINES = [
	{
		event: "session",
		version: 1,
		session: "s",
		at: "2026-03-04T10:00:00.000Z",
		source: {
			sensor: "rapl",
			rails: ["package-0"],
			scope: "the processor",
			measured: true,
			domain: "cpu",
		},
		job: "train amy",
	},
	{ event: "idle", session: "s", watts: 5, plusMinus: 0, how: "measured" },
	{
		event: "start",
		session: "s",
		stage: 0,
		parent: null,
		name: "fine-tune",
		at: "2026-03-04T10:00:00.000Z",
		...point(0, 0),
	},
	{
		event: "lap",
		session: "s",
		stage: 0,
		kind: "steps",
		from: 1,
		to: 20,
		begin: point(0, 0),
		end: point(50, 1000),
	},
	{ event: "end", session: "s", stage: 0, ok: true, ...point(100, 3600) },
];

test("energy report: table, bars, power over time, detail, CSV, page", async (t) => {
	const dir = await temporaryDir(t);
	const run = join(dir, "run");
	await mkdir(run);
	const ledger = LINES.map((l) => JSON.stringify(l)).join("\n");
	await writeFile(join(run, "energy.jsonl"), `${ledger}\n{"event":"to`);
	const people = await cli(["energy", "report", run, "--carbon", "fixed:500"]);
	t.is(people.code, 0, people.err);
	t.regex(people.out, /fine-tune +1 min 40 s +3.6 kJ +± 2 J +3.1 kJ +done/);
	t.regex(people.out, /fine-tune +█{50}\n/);
	t.regex(people.out, /Power over time\n +52\.0 W │/);
	t.regex(people.out, /0\.5 g CO2e at 500 g\/kWh \(fixed:500\)/);
	const steps = await cli(["energy", "report", run, "--by", "steps"]);
	t.regex(steps.out, /fine-tune +1 to 20 +50 s +1 kJ/);
	const none = await cli(["energy", "report", run, "--by", "utterance"]);
	t.regex(none.out, /Nothing was booked by utterance/);
	const [csv, html] = [join(dir, "e.csv"), join(dir, "e.html")];
	const files = await cli([
		"energy",
		"report",
		run,
		"--csv",
		csv,
		"--html",
		html,
		"--json",
	]);
	t.is(files.code, 0, files.err);
	t.like(files.json, {
		total: { joules: 3600 },
		jobs: ["train amy"],
		written: [csv, html],
		grams: null,
	});
	t.regex(
		await readFile(csv, "utf8"),
		/^timestamp,project_name,.*\n.*,train amy,s,fine-tune,100,/,
	);
	const page = await readFile(html, "utf8");
	t.regex(page, /train amy/);
	t.regex(page, /power over time/);
});

test("energy report: no run, no ledger, an empty one", async (t) => {
	const dir = await temporaryDir(t);
	t.is((await cli(["energy", "report", join(dir, "none")])).code, 3);
	t.is((await cli(["energy", "report", dir])).code, 3);
	await writeFile(join(dir, "energy.jsonl"), `${JSON.stringify(LINES[0])}\n`);
	const { code, err } = await cli(["energy", "report", dir]);
	t.is(code, 3);
	t.regex(err, /books nothing yet/);
});
