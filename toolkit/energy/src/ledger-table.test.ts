import test from "ava";
import type { LedgerLine } from "./ledger-file.ts";
import { summarise } from "./ledger-summary.ts";
import { formatDetail, formatEnergy, formatLedger } from "./ledger-table.ts";

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
			"stage     time                  energy  95 %  above idle  state",
			"-------  -----  ----------------------  ----  ----------  -----",
			"prepare  2.0 s               est. 20 J                    done",
			"train     10 s     est. 2 kJ (of 75 %)                    done",
			"  align  1.0 s                 unknown                    done",
			"all       12 s  est. 2.02 kJ (of 79 %)",
			"Energy estimated, 85 W over 2 cores.",
		].join("\n"),
	);
});

const idle = (name: string, watts: number): LedgerLine => ({
	event: "idle",
	session: name,
	watts,
	plusMinus: 0.5,
	how: "measured",
});
/** A point whose error is known: 4 J^2 a second, 0.1 s unseen at 10 W. */
const seen = (seconds: number, joules: number) => ({
	...point(seconds, joules),
	error: { variance: 4 * seconds, blindSeconds: 0.1, blindWatts: 10 },
});

test("with the power at rest known: what lies above it, with both intervals", (t) => {
	const lines = [
		session("s", true),
		idle("s", 5),
		...stage("train", { session: "s", stage: 0 }, seen(0, 0), seen(100, 2000)),
	];
	const { stages } = summarise(lines);
	const [train] = stages;
	t.is(
		Math.round((train?.plusMinus ?? 0) * 100),
		Math.round((1.959964 * 20 + 1) * 100),
	);
	t.is(train?.aboveIdle?.joules, 1500);
	t.is(
		Math.round(train?.aboveIdle?.plusMinus ?? 0),
		Math.round(1.959964 * 20 + 1 + 0.5 * 100),
	);
	t.regex(
		formatLedger(summarise(lines)),
		/train +1 min 40 s +2 kJ +± 40.2 J +1.5 kJ +done/,
	);
	// One session that never looked leaves the whole unknown, not a part of it.
	const both = summarise([
		...lines,
		session("t", true),
		...stage("train", { session: "t", stage: 0 }, seen(0, 0), seen(1, 20)),
	]);
	t.is(both.total.aboveIdle, null);
	t.is(both.total.joules, 2020);
});

test("steps, epochs and utterances, each with its own cost", (t) => {
	const lap = (
		kind: "steps" | "epoch",
		from: number,
		to: number,
		at: [number, number],
	): LedgerLine => ({
		event: "lap",
		session: "s",
		stage: 0,
		kind,
		from,
		to,
		begin: seen(at[0], 20 * at[0]),
		end: seen(at[1], 20 * at[1]),
	});
	const [start, end] = stage(
		"train",
		{ session: "s", stage: 0 },
		seen(0, 0),
		seen(100, 2000),
	);
	const [begin, over] = stage(
		"Hello there.",
		{ session: "s", stage: 1 },
		seen(100, 2000),
		seen(101, 2030),
	);
	const summary = summarise([
		{ ...session("s", true), job: "train amy" } as LedgerLine,
		start as LedgerLine,
		lap("steps", 1, 20, [0, 40]),
		lap("epoch", 1, 1, [0, 10]),
		lap("steps", 21, 40, [40, 100]),
		end as LedgerLine,
		{ ...begin, kind: "utterance" } as LedgerLine,
		{ ...over, audioSeconds: 2.5 } as LedgerLine,
	]);
	t.deepEqual(summary.jobs, ["train amy"]);
	t.deepEqual(
		summary.laps.map((l) => [l.kind, l.first, l.last, l.joules]),
		[
			["steps", 1, 20, 800],
			["epoch", 1, 1, 200],
			["steps", 21, 40, 1200],
		],
	);
	t.like(summary.utterances[0], {
		name: "Hello there.",
		audioSeconds: 2.5,
		joules: 30,
	});
	// An utterance is no stage, but its joules are part of the whole.
	t.deepEqual(
		summary.stages.map((s) => s.name),
		["train"],
	);
	t.is(summary.total.joules, 2030);
	t.regex(
		formatDetail(summary, "steps"),
		/train +21 to 40 +1 min 00 s +1.2 kJ/,
	);
	t.regex(
		formatDetail(summary, "utterance"),
		/Hello there\. +2\.5 s +1\.0 s +30 J/,
	);
	t.is(formatDetail(summarise([]), "epoch"), "");
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
