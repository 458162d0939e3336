import { CODECARBON_COLUMNS } from "@wattvox/energy";
import { csvCell } from "./power-csv.ts";
import type { PowerTable } from "./power-table.ts";

const COLUMNS = [...CODECARBON_COLUMNS, "wattvox_measured"] as const;

type Line = Partial<Record<(typeof COLUMNS)[number], string | number>>;

/**
 * A power table in the columns of CodeCarbon's emissions.csv (RFC 4180): each line's energy in kWh,
 * `experiment_id` is its name, `project_name` what the lines are. Measured and estimated energy are
 * rows of their own, told apart by the last column. Unknown is empty, never 0: a fleet has no one
 * processor, no one place and so no one carbon intensity.
 * @param now the time of lines that are not of an hour or a day
 */
export function powerCodeCarbonCsv(table: PowerTable, now: Date): string {
	const lines = table.rows.flatMap((row) =>
		([true, false] as const).flatMap((measured): Line[] => {
			const joules = measured ? row.joules : row.estimatedJoules;
			if (joules === null) return [];
			return [
				{
					timestamp: (row.at ?? now.toISOString()).slice(0, 19),
					project_name: `fleet by ${table.by}`,
					run_id: table.since ?? "ever",
					experiment_id: row.name,
					energy_consumed: joules / 3.6e6,
					tracking_mode: "machine",
					wattvox_measured: String(measured),
				},
			];
		}),
	);
	return [
		[...COLUMNS],
		...lines.map((line) => COLUMNS.map((c) => csvCell(line[c] ?? null))),
	]
		.map((line) => `${line.join(",")}\r\n`)
		.join("");
}
