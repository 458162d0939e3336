import type { LedgerSummary } from "@wattvox/energy";
import test from "ava";
import { reportPower, reportStages, stageTable } from "./from-ledger.ts";

const row = (name: string, over = {}): LedgerSummary["stages"][number] => ({
	name,
	path: [name],
	seconds: 10,
	joules: 100,
	coverage: 1,
	plusMinus: 2,
	aboveIdle: null,
	measured: false,
	sensor: "estimate",
	status: "done",
	...over,
});

const summary: LedgerSummary = {
	stages: [
		row("train"),
		row("forward", { path: ["train", "forward"] }),
		row("export", { joules: null, coverage: 0 }),
		row("speak", { coverage: 0.5, status: "interrupted" }),
	],
	total: {
		seconds: 30,
		joules: 200,
		coverage: 0.6,
		plusMinus: 4,
		aboveIdle: null,
		measured: false,
		sensor: "estimate",
	},
	jobs: [],
	laps: [],
	utterances: [],
	sources: [
		{
			sensor: "estimate",
			rails: ["cpu"],
			scope: "the processor",
			measured: false,
			assumption: "7 W a core",
		},
	],
};

test("outermost stages with their results, gaps in the energy said", (t) => {
	t.deepEqual(
		reportStages(summary, { train: "loss 0.3" }).map((s) => [
			s.name,
			s.joules,
			s.result,
		]),
		[
			["train", 100, "loss 0.3"],
			["export", null, ""],
			["speak", 100, "interrupted; energy of 50% of the time"],
		],
	);
});

test("the power source with what an estimate rests on", (t) => {
	t.deepEqual(reportPower(summary), {
		sensor: "estimate",
		scope: "the processor",
		measured: false,
		assumption: "7 W a core",
	});
	t.is(reportPower({ ...summary, sources: [] }), undefined);
});

test("the terminal's table labels estimates and unknowns", (t) => {
	t.is(
		stageTable(reportStages(summary, { train: "loss 0.3" })),
		[
			"stage     time      energy  result",
			"--------  ----  ----------  --------------------------------------",
			"train     10 s  est. 100 J  loss 0.3",
			"export    10 s     unknown",
			"speak     10 s  est. 100 J  interrupted; energy of 50% of the time",
			"together  30 s  est. 200 J  energy known for 2 of 3 stages",
		].join("\n"),
	);
});
