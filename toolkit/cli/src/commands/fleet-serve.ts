import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { join } from "node:path";
import { WattvoxError } from "@wattvox/core";
import type { Broker, Collector, PowerFeed, PowerPoint } from "@wattvox/fleet";
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

/** The dashboard's password, hashed, below the data folder. */
export const PASSWORD_FILE = "dashboard.json";

export const fleetServe = command({
	usage: "fleet serve",
	about:
		"Serve bundles to devices, collect their power reports, show both in a browser",
	examples: [
		["fleet serve", "with a broker of its own, on this machine"],
		[
			"fleet serve --store store/ --broker mqtts://broker.example",
			"on a broker that is there already",
		],
		[
			"fleet serve --attestations attestations/ --trust keys/fleet.pub",
			"with what devices measured of each voice",
		],
		[
			"fleet serve --trust keys/root.json",
			"and take engines that build stations bring (`agent run --builder-key`)",
		],
		[
			'fleet serve --report "0 6 * * *" --webhook https://chat.example/hook',
			"yesterday's bill every morning, as a file and by HTTP",
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
		"ws-port": {
			type: "number",
			describe: "The broker that is started here takes WebSockets here too",
		},
		"collector-id": {
			type: "string",
			default: "collector",
			describe: "MQTT client id of the collector: one for each",
		},
		attestations: {
			type: "string",
			default: "attestations",
			describe: "Folder of what devices measured: `energy attest` writes it",
		},
		trust: {
			type: "array",
			string: true,
			default: [],
			describe:
				"A root file, or public keys (or a folder of them), that may sign those, and engines: with it build stations may bring some to the store",
		},
		dashboard: {
			type: "boolean",
			default: true,
			describe: "Serve the dashboard; --no-dashboard leaves it out",
		},
		"http-host": {
			type: "string",
			default: "127.0.0.1",
			describe: "Address of the dashboard",
		},
		"http-port": {
			type: "number",
			default: 8080,
			describe: "Of the dashboard; 0 takes a free one",
		},
		"behind-proxy": {
			type: "boolean",
			default: false,
			describe: "A proxy that speaks TLS stands in front: needed off loopback",
		},
		report: {
			type: "string",
			describe:
				"Write yesterday's bill at these times (cron, UTC) to --data/reports",
		},
		webhook: {
			type: "string",
			describe: "POST the bill here as well, as JSON; needs --report",
		},
	},
	service: true,
	async run(args, io) {
		const [{ Link }, fleet] = await Promise.all([
			import("@wattvox/link"),
			import("@wattvox/fleet"),
		]);
		const heap = new fleet.ServingHeap();
		const stops: (() => Promise<void>)[] = [async () => heap.stop()];
		try {
			heap.start();
			const warn = (error: Error) => io.progress.note(error.message);
			const only = args.fleet === undefined ? {} : { fleet: args.fleet };
			const power = fleet.powerStore(args.database ?? args.data);
			await power.start(io.signal);
			stops.push(() => power.stop());
			let onPoint: (point: PowerPoint, received: number) => void = () =>
				undefined;
			const collect = async (from: PowerFeed) => {
				const collector = new fleet.Collector({
					...{ link: from, store: power, ...only, onError: warn },
					onPoint: (point, received) => onPoint(point, received),
				});
				await collector.start(io.signal);
				return collector;
			};
			let url = args.broker;
			let own: Broker | undefined;
			let collector: Collector | undefined;
			if (url === undefined) {
				const started = new fleet.Broker({
					port: args.port,
					...(args["ws-port"] !== undefined && {
						web: { port: args["ws-port"] },
					}),
					dataDir: join(args.data, "broker"),
				});
				// before the first device comes
				collector = await collect(started.feed);
				await started.start();
				stops.push(() => started.stop());
				url = started.url;
				own = started;
			}
			const access = await brokerAccess({ ...args, broker: url });
			const broker = { ...access, onDenied: warn };
			const source = fleet.openStore(args.store, io.env);
			const trusted = async () =>
				(await import("@wattvox/bundle")).loadTrust(args.trust);
			const server = new fleet.StoreServer({
				...{ source, broker: own ?? broker, ...only },
				...(args.trust.length > 0 && {
					engines: {
						shelf: fleet.engineShelf(source, args.data),
						trust: trusted,
						onOffer: ({ device }, { engine, held, reason }) =>
							io.progress.note(
								`engine ${engine.slice(0, 12)} of ${device}: ${held ? "in the store" : `refused: ${reason?.message}`}`,
							),
					},
				}),
			});
			await server.start(io.signal);
			stops.push(() => server.stop());
			const link = new Link({
				...broker,
				clientId: args["collector-id"],
				// what comes while this is away; the broker started here goes away with it
				persistent: args.broker !== undefined,
			});
			// the handler first: what a broker kept comes with the connection
			collector ??= await collect(link);
			const collecting = collector;
			await link.start(io.signal);
			stops.push(() => link.stop());
			stops.push(() => collecting.stop());
			if (args.dashboard) {
				const live = new fleet.LiveFleet({ link, ...only });
				await live.start(io.signal);
				stops.push(() => live.stop());
				onPoint = (point, received) => live.point(point, received);
				const token = randomBytes(32).toString("hex");
				const { hash, fresh } = await fleet.passwordFile(
					join(args.data, PASSWORD_FILE),
				);
				const voices = new fleet.VoiceBook({
					attestations: args.attestations,
					manifest: (digest) => source.readManifest(digest),
					trust: async () => (args.trust.length > 0 ? trusted() : undefined),
				});
				const web = new fleet.FleetServer({
					...{
						store: power,
						live,
						collector: collecting,
						password: hash,
						token,
					},
					...{ host: args["http-host"], port: args["http-port"] },
					...{ behindProxy: args["behind-proxy"], ...only },
					voices: (bundles) => voices.list(bundles),
					rollouts: async () =>
						(await fleet.listRollouts(join(args.data, "rollouts"))).map(
							fleet.rolloutView,
						),
				});
				await web.start();
				stops.push(() => web.stop());
				stops.push(
					await fleet.writeApiFile(args.data, { url: web.url, token }),
				);
				io.progress.note(`dashboard on ${web.url}`);
				if (fresh !== undefined)
					io.progress.note(`its password, shown this once: ${fresh}`);
			}
			if (args.report !== undefined) {
				const daily = new fleet.DailyReporter({
					...{ store: power, dir: join(args.data, "reports"), ...only },
					...{ cron: args.report, onError: warn },
					...(args.webhook !== undefined && { webhook: args.webhook }),
				});
				daily.start();
				stops.push(() => daily.stop());
			} else if (args.webhook !== undefined)
				throw new WattvoxError("E_USAGE", "--webhook needs --report");
			const keep = setInterval(
				() => power.retain(Date.now()).catch(warn),
				6 * 3_600_000,
			);
			stops.push(async () => clearInterval(keep));
			io.progress.note(`serving ${args.store} on ${url}`);
			if (!io.signal.aborted) await once(io.signal, "abort");
			await collecting.stop();
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
