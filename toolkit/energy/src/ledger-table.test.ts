import test from "ava";
import type { LedgerLine } from "./ledger-file.ts";
import { summarise } from "./ledger-summary.ts";
import { formatEnergy, formatLedger } from "./ledger-table.ts";

const session = (name: string, measured: boolean): LedgerLine => ({
	event: "session",
	version: 1,
	session: name,
	at: "2026-01-01T00:00:00.000Z",
	source: {
		sensor: measured ? "rapl" : "estimate",
		rails: ["package-0"],
		scope: "the processor",
		measured,
		...(measured ? {} : { assumption: "85 W over 2 cores" }),
	},
});
const point = (seconds: number, joules: number, coveredSeconds = seconds) => ({
	ns: String(seconds * 1e9),
	joules,
	coveredSeconds,
});
const stage = (
	name: string,
	of: { session: string; stage: number; parent?: number },
	from: ReturnType<typeof point>,
	to: ReturnType<typeof point>,
): LedgerLine[] => {
	const { parent = null, ...ids } = of;
	const at = "2026-01-01T00:00:00.000Z";
	return [
		{ event: "start", ...ids, parent, name, at, ...from },
		{ event: "end", ...ids, ok: true, ...to },
	];
};

test("inner stages are indented, estimates labelled, holes said", (t) => {
	const outer = stage(
		"train",
		{ session: "s", stage: 1 },
		point(2, 20),
		point(12, 2020, 9.5),
	);
	const summary = summarise([
		session("s", false),
		...stage("prepare", { session: "s", stage: 0 }, point(0, 0), point(2, 20)),
		...outer.slice(0, 1),
		...stage(
			"align",
			{ session: "s", stage: 2, parent: 1 },
			point(3, 30),
			point(4, 30, 3),
		),
		...outer.slice(1),
	]);
	t.is(
		formatLedger(summary),
		[
			"stage     time                  energy  state",
			"-------  -----  ----------------------  -----",
			"prepare  2.0 s               est. 20 J  done",
			"train     10 s     est. 2 kJ (of 75 %)  done",
			"  align  1.0 s                 unknown  done",
			"all       12 s  est. 2.02 kJ (of 79 %)",
			"Energy estimated, 85 W over 2 cores.",
		].join("\n"),
	);
});

test("a stage that a sensor saw in one session only is not called measured", (t) => {
	const { stages, sources } = summarise([
		session("a", true),
		...stage("train", { session: "a", stage: 0 }, point(0, 0), point(1, 5)),
		session("b", false),
		...stage("train", { session: "b", stage: 0 }, point(0, 0), point(1, 7)),
	]);
	t.like(stages, [{ joules: 12, measured: false, sensor: "rapl + estimate" }]);
	t.is(sources.length, 2);
});

test("what is nearly all is not called all", (t) => {
	const energy = { joules: 10, measured: true };
	t.is(formatEnergy({ ...energy, coverage: 0.994 }), "10 J (of 99 %)");
	t.is(formatEnergy({ ...energy, coverage: 1 }), "10 J");
});
