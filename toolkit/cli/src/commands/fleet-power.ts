import { join } from "node:path";
import { command } from "../command.ts";
import { TOTALS } from "./fleet-serve.ts";

export const fleetPower = command({
	usage: "fleet power",
	about: "What devices have spoken and what it cost",
	examples: [["fleet power --data fleet-data", "as `fleet serve` has kept it"]],
	positionals: {},
	options: {
		data: {
			type: "string",
			default: "fleet-data",
			describe: "Folder of `fleet serve`",
		},
	},
	async run({ data }, io) {
		const { Collector, formatPowerTable } = await import("@wattvox/fleet");
		const collector = new Collector({
			// reads what is kept; listens to nothing
			link: { subscribe: async () => async () => undefined },
			path: join(data, TOTALS),
		});
		await collector.start(io.signal);
		await collector.stop();
		const table = collector.table();
		io.result(table, formatPowerTable(table));
	},
});
