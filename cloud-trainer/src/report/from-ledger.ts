import { formatSeconds, table } from "@wattvox/core";
import { formatEnergy, type LedgerSummary } from "@wattvox/energy";
import { totals } from "./sections.ts";
import type { ReportPower, ReportStage } from "./types.ts";

/**
 * A ledger's outermost stages as a report shows them.
 * @param results what each stage came to, by its name
 */
export function reportStages(
	summary: LedgerSummary,
	results: Readonly<Record<string, string>>,
): ReportStage[] {
	return summary.stages
		.filter((row) => row.path.length === 1)
		.map((row) => {
			const notes = [results[row.name] ?? ""];
			if (row.status !== "done") notes.push(row.status);
			if (row.joules !== null && row.coverage < 0.99)
				notes.push(`energy of ${Math.round(100 * row.coverage)}% of the time`);
			return {
				name: row.name,
				seconds: row.seconds,
				joules: row.joules,
				measured: row.measured,
				result: notes.filter(Boolean).join("; "),
			};
		});
}

/** Where a ledger's joules came from; undefined when no source was open. */
export function reportPower({
	sources,
}: LedgerSummary): ReportPower | undefined {
	const [first] = sources;
	if (!first) return undefined;
	const all = (of: (s: LedgerSummary["sources"][number]) => string) =>
		[...new Set(sources.map(of))].join("; ");
	const assumptions = all((s) => s.assumption ?? "");
	return {
		sensor: all((s) => s.sensor),
		scope: all((s) => s.scope),
		measured: sources.every((s) => s.measured),
		...(assumptions && { assumption: assumptions }),
	};
}

/** The stages as a table for a terminal: time first, then energy with its label, then the result. */
export function stageTable(stages: readonly ReportStage[]): string {
	const total = totals(stages);
	const energy = (joules: number | null, measured: boolean) =>
		formatEnergy({ joules, measured, coverage: 1 });
	return table(
		["stage", "time", "energy", "result"],
		[
			...stages.map((s) => [
				s.name,
				formatSeconds(s.seconds),
				energy(s.joules, s.measured),
				s.result,
			]),
			[
				"together",
				formatSeconds(total.seconds),
				energy(total.joules, total.measured),
				total.unknown > 0 && total.joules !== null
					? `energy known for ${stages.length - total.unknown} of ${stages.length} stages`
					: "",
			],
		],
		["left", "right", "right"],
	);
}
