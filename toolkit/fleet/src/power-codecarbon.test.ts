import { CODECARBON_COLUMNS } from "@wattvox/energy";
import test from "ava";
import { powerCodeCarbonCsv } from "./power-codecarbon.ts";
import { figures, type PowerRow } from "./power-table.ts";

test("CodeCarbon's columns: kWh, measured and estimated in rows of their own, unknown left out or empty", (t) => {
	const row = (name: string, part: Partial<PowerRow>): PowerRow => ({
		...figures(undefined),
		...{ name, fleet: null, device: null, voice: null, deviceClass: null },
		at: null,
		...part,
	});
	const csv = powerCodeCarbonCsv(
		{
			...{ by: "voice", since: null, total: figures(undefined) },
			rows: [
				row("=ada", { joules: 7.2e6, estimatedJoules: 3.6e6 }),
				row("mute", {}),
				row("ben", { joules: 0, at: "2026-02-03T00:00:00.000Z" }),
			],
		},
		new Date("2026-03-04T05:06:07Z"),
	);
	const [head = "", ...lines] = csv.trimEnd().split("\r\n");
	const columns = head.split(",");
	t.deepEqual(columns.slice(0, -1), [...CODECARBON_COLUMNS]);
	const at = (name: string) => columns.indexOf(name);
	t.deepEqual(
		lines.map((line) => {
			const cells = line.split(",");
			t.is(cells.length, columns.length);
			t.is(cells[at("emissions")], "");
			return [
				...["timestamp", "experiment_id", "energy_consumed"],
				"wattvox_measured",
			].map((name) => cells[at(name)]);
		}),
		[
			["2026-03-04T05:06:07", "'=ada", "2", "true"],
			["2026-03-04T05:06:07", "'=ada", "1", "false"],
			["2026-02-03T00:00:00", "ben", "0", "true"],
		],
	);
});
