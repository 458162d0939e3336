import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { parseArgs } from "node:util";
import { table, WattvoxError } from "@wattvox/core";
import {
	BROKERS,
	postgresMissing,
	startPostgres,
} from "@wattvox/fleet/testing";
import { ServedFleet } from "./fleet-served.ts";
import { formatMachine, machineFacts, median } from "./machine.ts";
import { printed, withFolder } from "./printed.ts";

const USAGE = `npm run bench -- fleet [options]

  --devices N      each with an MQTT connection of its own (default 10000)
  --minutes N      how long they report (default 10)
  --seconds N      the same in seconds
  --period N       seconds between two reports of a device (default 10)
  --on WHAT        embedded (aedes and DuckDB), servers (Mosquitto and
                   PostgreSQL) or both (default both)
  --dir DIR        for the databases (default: here)
  --json           for programs

Each device is a socket in two processes: raise the limit first (ulimit -n).

  npm run bench -- fleet --minutes 10 --on embedded
  npm run bench -- fleet --minutes 10 --on servers
`;

const GOAL = { dayMs: 200, bytes: 500e6 };

/** Files that a process of the bench has open beside its sockets. */
const SPARE_FILES = 200;

/** How many files a process may have open; undefined: this system does not say. */
function openFileLimit(): number | undefined {
	try {
		const limits = readFileSync("/proc/self/limits", "utf8");
		const found = /^Max open files +(\d+)/m.exec(limits);
		return found ? Number(found[1]) : undefined;
	} catch {
		return undefined;
	}
}

export interface FleetBenchOptions {
	devices: number;
	seconds: number;
	period: number;
	on: "embedded" | "servers";
	dir: string;
}

/** `bench fleet`: a fleet's power reports, counted exactly, on one machine. */
export async function run(argv: string[]): Promise<void> {
	const { values: o } = parseArgs({
		args: argv,
		options: {
			devices: { type: "string", default: "10000" },
			minutes: { type: "string", default: "10" },
			seconds: { type: "string" },
			period: { type: "string", default: "10" },
			on: { type: "string", default: "both" },
			dir: { type: "string", default: "." },
			json: { type: "boolean", default: false },
			help: { type: "boolean", default: false },
		},
	});
	if (o.help) return void process.stdout.write(USAGE);
	const [devices, minutes, period] = [o.devices, o.minutes, o.period].map(
		Number,
	) as [number, number, number];
	const seconds = o.seconds === undefined ? minutes * 60 : Number(o.seconds);
	const on =
		o.on === "both"
			? (["embedded", "servers"] as const)
			: (["embedded", "servers"] as const).filter((kind) => kind === o.on);
	if (
		!(Number.isSafeInteger(devices) && devices > 0) ||
		!(seconds > 0 && period > 0) ||
		on.length === 0
	)
		throw new WattvoxError("E_USAGE", USAGE);
	const sockets = openFileLimit();
	if (sockets !== undefined && sockets < devices + SPARE_FILES)
		throw new WattvoxError(
			"E_USAGE",
			`${devices} devices need ${devices + SPARE_FILES} open files, ${sockets} are allowed: ulimit -n`,
		);
	await printed(o.json, {
		measure: (note, signal) =>
			withFolder(o.dir, "bench-fleet-", async (dir) => {
				const results = [];
				for (const kind of on)
					results.push(
						await measureFleet(
							{ devices, seconds, period, on: kind, dir: join(dir, kind) },
							note,
							signal,
						),
					);
				return results;
			}),
		report,
	});
}

/** What the server was found to be when the last report had come. */
interface ServerEnd {
	received: number;
	/** Bytes, of the whole process. */
	peak: number;
	/** Of the process, every half minute, bytes: a leak shows as a climb. */
	memory: number[];
	cpuSeconds: number;
	dayMs: number[];
	devicesMs: number;
	/** Of everything ever; null: it knows none. */
	millijoules: number | null;
	devices: number;
}

interface DevicesEnd {
	reports: number;
	millijoules: number;
	lostConnections: number;
	failed: number;
	slowestMs: number;
}

type Result = Awaited<ReturnType<typeof measureFleet>>;

/**
 * The server is the command that its users start, the devices are in one other process.
 * @throws WattvoxError E_USAGE (a server is missing), E_BROKER; the signal's reason
 */
export async function measureFleet(
	o: FleetBenchOptions,
	note: (line: string) => void,
	signal: AbortSignal,
) {
	const stops: (() => Promise<unknown> | unknown)[] = [];
	try {
		const servers =
			o.on === "servers" ? await startServers(o.dir, stops) : undefined;
		const server = await ServedFleet.start(o.dir, servers, signal);
		stops.push(() => server.stop());
		const devices = child(
			"./fleet-devices.js",
			[server.url, o.devices, o.seconds, o.period].map(String),
			stops,
		);
		const begin = performance.now();
		await said(devices, signal);
		const connectSeconds = (performance.now() - begin) / 1000;
		note(
			`${o.on}: ${o.devices} connected in ${connectSeconds.toFixed(0)} s; reporting for ${o.seconds} s`,
		);
		devices.send("go");
		const sent = await said<DevicesEnd>(devices, signal);
		// what the broker still holds
		for (let waited = 0; waited < 60_000; waited += 500) {
			if ((await server.received()) >= sent.reports - sent.failed) break;
			await delay(500, undefined, { signal });
		}
		for (let waited = 0; waited < 60_000; waited += 500) {
			if ((await server.millijoules()) === sent.millijoules) break;
			await delay(500, undefined, { signal });
		}
		const got = await questions(server);
		return {
			...{ on: o.on, asked: o, machine: machineFacts(), connectSeconds },
			...{ sent, got, dayMs: median(got.dayMs) },
			lost: sent.reports - got.received,
			differenceMillijoules:
				got.millijoules === null ? null : got.millijoules - sent.millijoules,
		};
	} finally {
		for (const stop of stops.reverse()) await stop();
	}
}

/** Mosquitto and PostgreSQL. @throws WattvoxError E_USAGE (not here) */
async function startServers(dir: string, stops: (() => unknown)[]) {
	const kind = BROKERS.find((b) => b.name === "mosquitto");
	const missing = kind?.missing ?? postgresMissing;
	if (!kind || missing) throw new WattvoxError("E_USAGE", `${missing}`);
	const mosquitto = await kind.make(dir);
	stops.push(() => mosquitto.stop());
	const postgres = await startPostgres({});
	stops.push(() => postgres.stop());
	return { broker: mosquitto.url, database: postgres.url };
}

/** Asks the server what its users ask, as they do. */
async function questions(server: ServedFleet): Promise<ServerEnd> {
	const received = await server.received();
	const since = Date.now() - (Date.now() % 86_400_000);
	const dayMs: number[] = [];
	for (let i = 0; i < 5; i++)
		dayMs.push((await timed(() => server.power("hour", since)))[1]);
	const [{ rows }, devicesMs] = await timed(() =>
		server.power("device", since),
	);
	const millijoules = await server.millijoules();
	const { rss, peakRss: peak, cpuSeconds } = await server.facts();
	const memory = [...server.memory, rss];
	return {
		...{ received, peak, memory, cpuSeconds },
		...{ millijoules, dayMs, devicesMs, devices: rows.length },
	};
}

async function timed<T>(work: () => Promise<T>): Promise<[T, number]> {
	const begin = performance.now();
	const result = await work();
	return [result, performance.now() - begin];
}

function child(
	file: string,
	args: string[],
	stops: (() => unknown)[],
): ChildProcess {
	const started = fork(new URL(file, import.meta.url), args);
	stops.push(async () => {
		if (started.exitCode !== null || started.signalCode) return;
		const gone = once(started, "exit");
		started.kill("SIGKILL");
		await gone;
	});
	return started;
}

function said<T>(from: ChildProcess, signal: AbortSignal): Promise<T> {
	return new Promise<T>((resolve, reject) => {
		const end = () => {
			from.off("message", heard);
			from.off("exit", gone);
			signal.removeEventListener("abort", aborted);
		};
		const heard = (message: unknown) => {
			end();
			resolve(message as T);
		};
		const gone = (code: number | null) => {
			end();
			reject(new WattvoxError("E_BROKER", `a process ended with ${code}`));
		};
		const aborted = () => {
			end();
			reject(signal.reason);
		};
		from.once("message", heard);
		from.once("exit", gone);
		signal.addEventListener("abort", aborted, { once: true });
	});
}

function report(results: readonly Result[]): string {
	const [first] = results;
	if (!first) return "";
	const rows = results.flatMap((r) => {
		const met = (is: boolean) => (is ? "yes" : "NO");
		const exact = r.differenceMillijoules === 0;
		return [
			[
				`${r.on}: reports lost`,
				`${r.lost} of ${r.sent.reports}`,
				"0",
				met(r.lost === 0),
			],
			[
				`${r.on}: total against what was sent`,
				`${r.differenceMillijoules ?? "unknown"} mJ`,
				"0 mJ",
				met(exact),
			],
			[
				`${r.on}: the fleet's day by hour`,
				`${r.dayMs.toFixed(0)} ms`,
				`<= ${GOAL.dayMs} ms`,
				met(r.dayMs <= GOAL.dayMs),
			],
			[
				`${r.on}: collector's peak memory`,
				`${(r.got.peak / 1e6).toFixed(0)} MB`,
				`<= ${GOAL.bytes / 1e6} MB`,
				met(r.got.peak <= GOAL.bytes),
			],
			[
				`${r.on}: its memory, start, middle and end`,
				[0, 0.5, 1]
					.map((at) => Math.round(at * (r.got.memory.length - 1)))
					.map((i) => `${((r.got.memory[i] ?? 0) / 1e6).toFixed(0)} MB`)
					.join(", "),
				"",
				"",
			],
			[
				`${r.on}: slowest acknowledgement`,
				`${r.sent.slowestMs.toFixed(0)} ms`,
				"",
				"",
			],
			[
				`${r.on}: collector's processor time`,
				`${r.got.cpuSeconds.toFixed(0)} s`,
				"",
				"",
			],
		];
	});
	const { devices, seconds, period } = first.asked;
	return `${formatMachine(first.machine)}
${devices} devices, a report each ${period} s for ${seconds} s

${table(["", "measured", "goal", "met"], rows, ["left", "right", "right", "left"])}
`;
}
