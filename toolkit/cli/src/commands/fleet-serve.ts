import { once } from "node:events";
import { join } from "node:path";
import { BROKER_OPTIONS, brokerAccess } from "../broker-options.ts";
import { command, type OptionTable } from "../command.ts";

/** Where the reports are added up: shared by the commands that write and ask. */
export const DATA_OPTIONS = {
	data: {
		type: "string",
		default: "fleet-data",
		describe: "Folder of the fleet's server: the power database and more",
	},
	database: {
		type: "string",
		describe:
			"postgres://... instead of the database in --data; WATTVOX_DATABASE hides its password from ps",
	},
} as const satisfies OptionTable;

export const fleetServe = command({
	usage: "fleet serve",
	about: "Serve bundles to devices and collect their power reports",
	examples: [
		["fleet serve", "with a broker of its own, on this machine"],
		[
			"fleet serve --store store/ --broker mqtts://broker.example",
			"on a broker that is there already",
		],
	],
	positionals: {},
	options: {
		store: {
			type: "string",
			default: "store",
			describe: "The store: a folder, or s3://bucket/prefix",
		},
		...DATA_OPTIONS,
		fleet: {
			type: "string",
			describe: "Only this fleet; by default every one",
		},
		...BROKER_OPTIONS,
		broker: {
			type: "string",
			describe: "A broker; without it one is started on 127.0.0.1",
		},
		port: {
			type: "number",
			default: 1883,
			describe: "Of the broker that is started here",
		},
	},
	service: true,
	async run(args, io) {
		const [{ Link }, fleet] = await Promise.all([
			import("@wattvox/link"),
			import("@wattvox/fleet"),
		]);
		const stops: (() => Promise<void>)[] = [];
		try {
			let url = args.broker;
			if (url === undefined) {
				const own = new fleet.Broker({
					port: args.port,
					dataDir: join(args.data, "broker"),
				});
				await own.start();
				stops.push(() => own.stop());
				url = own.url;
			}
			const broker = await brokerAccess({ ...args, broker: url });
			const only = args.fleet === undefined ? {} : { fleet: args.fleet };
			const server = new fleet.StoreServer({
				source: fleet.openStore(args.store, io.env),
				broker,
				...only,
			});
			await server.start(io.signal);
			stops.push(() => server.stop());
			const link = new Link({
				...broker,
				clientId: `collector-${process.pid}`,
			});
			await link.start(io.signal);
			stops.push(() => link.stop());
			const power = fleet.powerStore(args.database ?? args.data);
			await power.start(io.signal);
			stops.push(() => power.stop());
			const collector = new fleet.Collector({
				link,
				store: power,
				onError: (error) => io.progress.note(error.message),
				...only,
			});
			await collector.start(io.signal);
			stops.push(() => collector.stop());
			io.progress.note(`serving ${args.store} on ${url}`);
			if (!io.signal.aborted) await once(io.signal, "abort");
			await collector.stop();
			const table = await fleet.powerTable(power);
			io.result(
				{ served: server.counters ?? null, power: table },
				fleet.formatPowerTable(table),
			);
		} finally {
			for (const stop of stops.reverse()) await stop();
		}
	},
});
