import { WattvoxError } from "@wattvox/core";
import type { PowerTable } from "@wattvox/fleet";
import { command } from "../command.ts";
import { DATA_OPTIONS } from "./fleet-serve.ts";

export const fleetPower = command({
	usage: "fleet power",
	about:
		"What devices have spoken and what it cost; asks the server while it runs",
	examples: [
		["fleet power --by voice --since 7d", "a line per voice, of a week"],
		["fleet power --by day --since 30d --csv", "for a spreadsheet"],
		["fleet power --database postgres://fleet@db/power", "from PostgreSQL"],
	],
	positionals: {},
	options: {
		by: {
			type: "string",
			choices: ["device", "voice", "class", "fleet", "day", "hour"],
			default: "device",
			describe: "What makes a line",
		},
		since: {
			type: "string",
			describe:
				"7d, 12h, today, 2026-05-01 (UTC); by default everything ever reported",
		},
		fleet: { type: "string", describe: "Only this fleet" },
		csv: {
			type: "boolean",
			default: false,
			describe: "Comma-separated values",
		},
		codecarbon: {
			type: "boolean",
			default: false,
			describe: "The same in CodeCarbon's columns, kWh",
		},
		...DATA_OPTIONS,
	},
	async run(args, io) {
		const {
			askServer,
			formatPowerTable,
			knownPowerStore,
			parseSince,
			powerCodeCarbonCsv,
			powerCsv,
			powerTable,
		} = await import("@wattvox/fleet");
		const by = args.by as
			| "device"
			| "voice"
			| "class"
			| "fleet"
			| "day"
			| "hour";
		if (args.since === undefined && (by === "day" || by === "hour"))
			throw new WattvoxError("E_USAGE", `--by ${by} needs --since`);
		const since =
			args.since === undefined
				? {}
				: { since: parseSince(args.since, Date.now()) };
		const fleet = args.fleet === undefined ? {} : { fleet: args.fleet };
		const show = (table: PowerTable) =>
			io.result(
				table,
				args.codecarbon
					? powerCodeCarbonCsv(table, new Date()).trimEnd()
					: args.csv
						? powerCsv(table).trimEnd()
						: formatPowerTable(table),
			);
		// the database of one machine is held by the server while that runs
		const answer =
			args.database === undefined
				? await askServer(
						args.data,
						"power",
						{ by, since: args.since, fleet: args.fleet },
						io.signal,
					)
				: undefined;
		if (answer) return show(answer);
		const store = await knownPowerStore(args.database ?? args.data);
		await store.start(io.signal);
		try {
			show(
				await powerTable(store, {
					...{ by, ...since, ...fleet, signal: io.signal },
				}),
			);
		} finally {
			await store.stop();
		}
	},
});
