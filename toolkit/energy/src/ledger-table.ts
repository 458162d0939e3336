import { formatJoules, formatSeconds, table } from "@wattvox/core";
import type { Energy } from "./integrate.ts";
import type { LedgerSummary } from "./ledger-summary.ts";

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

/** The ledger for a terminal: stage, time, energy and how it ended. Time first: it is always known. */
export function formatLedger({
	stages,
	total,
	sources,
}: LedgerSummary): string {
	const rows = stages.map((row) => [
		`${"  ".repeat(row.path.length - 1)}${row.name}`,
		formatSeconds(row.seconds),
		formatEnergy(row),
		row.status,
	]);
	rows.push(["all", formatSeconds(total.seconds), formatEnergy(total), ""]);
	const notes = sources.map((s) =>
		s.measured
			? `Energy measured by ${s.sensor}: ${s.scope}.`
			: `Energy estimated, ${s.assumption}.`,
	);
	return [
		table(["stage", "time", "energy", "state"], rows, [
			"left",
			"right",
			"right",
		]),
		...notes,
	].join("\n");
}
