import { formatJoules, formatSeconds, table } from "@wattvox/core";
import type { Energy } from "./integrate.ts";
import type { Cost, LedgerSummary } from "./ledger-summary.ts";

type Booked = Pick<Energy, "joules" | "coverage"> & { measured: boolean };

/** Below this share the part that joules stand for is said beside them. */
const WHOLE = 0.995;

/**
 * Joules worded for people, with what they are: "312 J", "est. 1.8 kJ", "est. 40 J (of 73 %)",
 * "unknown".
 */
export function formatEnergy({ joules, coverage, measured }: Booked): string {
	if (joules === null) return "unknown";
	const label = measured ? "" : "est. ";
	// Never "100 %" for what is less.
	const part = coverage < WHOLE ? ` (of ${Math.floor(coverage * 100)} %)` : "";
	return `${label}${formatJoules(joules)}${part}`;
}

/** The half-width of an interval, worded: "± 2 J", "" where nobody knows it. */
export function formatPlusMinus(plusMinus: number | null): string {
	return plusMinus === null ? "" : `± ${formatJoules(plusMinus)}`;
}

/** Joules above the resting machine, worded; "" where nobody knows. */
function above({ aboveIdle, measured }: Cost): string {
	if (!aboveIdle) return "";
	// Noise can bring a stage that did next to nothing below the resting machine.
	const sign = aboveIdle.joules < 0 ? "-" : "";
	return `${measured ? "" : "est. "}${sign}${formatJoules(Math.abs(aboveIdle.joules))}`;
}

/** The columns that every row of a ledger has: time, energy, its interval, and what lies above rest. */
function costs(cost: Cost): string[] {
	return [
		formatSeconds(cost.seconds),
		formatEnergy(cost),
		formatPlusMinus(cost.plusMinus),
		above(cost),
	];
}

/**
 * The ledger for a terminal: stage, time, energy with its interval, what of it lies above the resting
 * machine, and how it ended. Time first: it is always known.
 */
export function formatLedger({
	stages,
	total,
	sources,
}: LedgerSummary): string {
	const rows = stages.map((row) => [
		`${"  ".repeat(row.path.length - 1)}${row.name}`,
		...costs(row),
		row.status,
	]);
	rows.push(["all", ...costs(total), ""]);
	const notes = sources.map((s) =>
		s.measured
			? `Energy measured by ${s.sensor}: ${s.scope}.`
			: `Energy estimated, ${s.assumption}.`,
	);
	return [
		table(["stage", "time", "energy", "95 %", "above idle", "state"], rows, [
			"left",
			"right",
			"right",
			"right",
			"right",
		]),
		...new Set(notes),
	].join("\n");
}

/** Steps, epochs and utterances for a terminal; "" when there are none of the kind. */
export function formatDetail(
	{ laps, utterances }: LedgerSummary,
	by: "steps" | "epoch" | "utterance",
): string {
	const align = ["left", "left", "right", "right", "right", "right"] as const;
	if (by !== "utterance") {
		const rows = laps
			.filter((lap) => lap.kind === by)
			.map((lap) => [
				lap.path.join(" / "),
				lap.first === lap.last ? `${lap.first}` : `${lap.first} to ${lap.last}`,
				...costs(lap),
			]);
		return rows.length === 0
			? ""
			: table(
					["stage", by, "time", "energy", "95 %", "above idle"],
					rows,
					align,
				);
	}
	const rows = utterances.map((u) => [
		u.name,
		u.audioSeconds === null ? "" : `${u.audioSeconds.toFixed(1)} s`,
		...costs(u),
	]);
	return rows.length === 0
		? ""
		: `${table(["utterance", "audio", "time", "energy", "95 %", "above idle"], rows, align)}
An utterance is shorter than most sensors' period: mind its interval. Joules per second of speech come
from the fixed workload.`;
}
