import { access, constants, mkdir, readFile, statfs } from "node:fs/promises";
import { freemem, totalmem } from "node:os";
import { loadTrust, RootTrust, type Trust } from "@wattvox/bundle";
import {
	asWattvoxError,
	facts,
	WattvoxError,
	writeAtomic,
} from "@wattvox/core";
import {
	boardWords,
	openNvml,
	openPowerSource,
	readBoard,
} from "@wattvox/energy";
import { Link, type LinkOptions } from "@wattvox/link";
import { encodeModel, GraphBuilder } from "@wattvox/onnx";
import { createEngine, tensor } from "@wattvox/runtime";
import { Floors, SOFTWARE_FLOOR } from "./floors.ts";
import { findPlayers } from "./speaker/player.ts";
import { DeviceState } from "./state.ts";
import { readStatus } from "./status.ts";

/** One thing that was looked at. */
export interface Finding {
	what: string;
	ok: boolean;
	/** What was found, or the error's code and message. */
	found: string;
}

/** What to look at beyond the machine itself. */
export interface DoctorOptions {
	/** The agent's data folder. */
	dataDir?: string;
	/** The TensorRT shim, compiled on this device: opened in a process of its own. */
	shim?: string;
	/** Root file or public keys, as the agent takes them. */
	trust?: readonly string[];
	/** How the agent gets to its broker. */
	broker?: Omit<LinkOptions, "clientId" | "presence">;
	/** The device's id: the client id at the broker. */
	device?: string;
	signal?: AbortSignal;
	/** Milliseconds since 1970; default the system's clock. */
	now?: () => number;
}

/** Everything that was looked at, for people to read and to attach to a report. */
export interface Diagnosis {
	ok: boolean;
	findings: Finding[];
	/** The first thing that is wrong. */
	worst?: WattvoxError;
}

/** Bytes that a base, its engine and a pull under way take. */
const ROOM = 200e6;

/**
 * Looks at what an agent needs: Node, ONNX Runtime, power sensors, playback, clock, memory, disk, keys,
 * broker. Changes nothing but making the data folder; says no secrets.
 */
export async function diagnose(o: DoctorOptions = {}): Promise<Diagnosis> {
	const findings: Finding[] = [];
	let worst: WattvoxError | undefined;
	const look = async (what: string, check: () => Promise<string> | string) => {
		try {
			findings.push({ what, ok: true, found: await check() });
		} catch (thrown) {
			o.signal?.throwIfAborted();
			const error = asWattvoxError(thrown);
			worst ??= error;
			const found = `${error.code}: ${error.message}`;
			findings.push({ what, ok: false, found });
		}
	};
	const { dataDir, trust, broker, shim } = o;
	const now = o.now ?? Date.now;
	await look("node", () => `${process.version} ${process.arch}`);
	await look("onnx runtime", () => adds(o.signal));
	if (shim !== undefined)
		await look("tensorrt", () => tensorrt(shim, o.signal));
	await look("power", async () => (await power()).used);
	await look("other sensors", async () => (await power()).passedOver);
	await look("board", board);
	await look("playback", playback);
	await look("clock", () => clock(now(), dataDir, trust));
	await look(
		"memory",
		() => `${gib(freemem())} of ${gib(totalmem())} GiB free`,
	);
	await look("disk", () => disk(dataDir));
	if (dataDir !== undefined) {
		await look("agent", () => agent(dataDir));
		await look("topics", () => topics(dataDir));
	}
	if (trust?.length) await look("keys", () => keys(trust, now(), dataDir));
	if (broker) await look("broker", () => answers(broker, o));
	return { ok: worst === undefined, findings, ...(worst && { worst }) };
}

/** A diagnosis for people, a line each. */
export const formatDiagnosis = ({ findings }: Diagnosis): string =>
	facts(findings.map((f) => [f.what, f.ok ? f.found : `PROBLEM ${f.found}`]));

/**
 * Writes a diagnosis as one JSON file to attach to a report. What it holds: versions, sensors, sizes,
 * folders and the broker's answer; no key, password or address.
 * @throws WattvoxError E_OUTPUT
 */
export async function writeDiagnosis(
	path: string,
	{ ok, findings }: Diagnosis,
): Promise<void> {
	const at = new Date().toISOString();
	const versions = { ...process.versions };
	await writeAtomic(
		path,
		`${JSON.stringify({ v: 1, at, ok, findings, versions }, null, "\t")}\n`,
	);
}

/** Runs a graph of one node the way voices run: in a worker thread. */
async function adds(signal?: AbortSignal): Promise<string> {
	const g = new GraphBuilder();
	const x = g.input("x", "float32", [2]);
	g.output(g.add(x, x), "y");
	const begin = performance.now();
	const engine = await createEngine(encodeModel(g.graph), { signal });
	try {
		const feeds = { x: tensor("float32", [2], Float32Array.of(1, 2)) };
		const { y } = await engine.run(feeds, { signal });
		if (y?.data[0] !== 2 || y.data[1] !== 4)
			throw new WattvoxError("E_BUG", `1 + 1 is ${y?.data[0]}`);
	} finally {
		await engine.dispose();
	}
	return `computes, ready in ${Math.round(performance.now() - begin)} ms`;
}

/** Whether the shim opens on what is installed here; a library that crashes takes its own process only. */
async function tensorrt(shim: string, signal?: AbortSignal): Promise<string> {
	const { workshop } = await import("@wattvox/runtime/tensorrt");
	const facts = await workshop(shim).facts(signal ? { signal } : {});
	return [
		`TensorRT ${facts.tensorrt}, compiled against ${facts.headers}`,
		`CUDA ${facts.cuda} on a driver for ${facts.cudaDriver}`,
		`${facts.device}, compute capability ${facts.computeCapability}`,
	].join(", ");
}

/** Which sensor there is, and why the others are not used; an estimate is no problem, but is called one. */
async function power(): Promise<{ used: string; passedOver: string }> {
	const { source, skipped } = await openPowerSource();
	const { sensor, measured, scope, rails, assumption } = source.describe();
	await source.close();
	return {
		used: measured
			? `measured by ${sensor} (${rails.join(", ")}): ${scope}`
			: `estimated by ${sensor}: ${assumption}`,
		passedOver:
			skipped.map((s) => `${s.sensor}: ${s.reason}`).join("; ") ||
			"none was looked for: the best one works",
	};
}

/** What the machine says of itself: a Jetson its module, mode and temperatures, a card its load. */
async function board(): Promise<string> {
	const parts = boardWords(readBoard());
	const cards = await openNvml();
	if (!("unavailable" in cards)) {
		for (const { name, temperatureC, utilisation } of await cards.telemetry())
			parts.push(
				`${name}: ${temperatureC ?? "unknown"} °C, load ${utilisation === null ? "unknown" : `${Math.round(100 * utilisation)} %`}`,
			);
		await cards.close();
	}
	return parts.join(", ") || "says nothing of itself";
}

/** A device may leave playing to who asks: nothing that plays is no problem. */
async function playback(): Promise<string> {
	const players = findPlayers().map((p) => `${p.system} (${p.program})`);
	const cards = (
		await readFile("/proc/asound/cards", "utf8").catch(() => "")
	).match(/\[.*\]: .*/g);
	return `${players.join(", ") || "no player (pw-cat, aplay)"}; ${
		cards ? `${cards.length} sound cards` : "no sound card of the kernel's"
	}`;
}

/** Expiry dates and certificates go by the clock. */
async function clock(
	now: number,
	dataDir?: string,
	trust?: readonly string[],
): Promise<string> {
	const floor = await timeFloor(dataDir, trust);
	const text = new Date(now).toISOString();
	if (now < floor)
		throw new WattvoxError(
			"E_CLOCK",
			`it shows ${text}, but it was ${new Date(floor).toISOString()} already`,
		);
	return text;
}

/** It is not earlier than this, as far as the agent knows. */
async function timeFloor(
	dataDir?: string,
	trust?: readonly string[],
): Promise<number> {
	if (dataDir === undefined || !trust?.length) return SOFTWARE_FLOOR;
	// roots that cannot be read are a finding of the keys
	const floors = new Floors(dataDir, (await believed(trust, dataDir)).trust);
	await floors.recall();
	return Math.max(SOFTWARE_FLOOR, floors.time);
}

async function disk(dataDir?: string): Promise<string> {
	const at = dataDir ?? ".";
	if (dataDir !== undefined) {
		const refused = (cause: unknown): never => {
			throw new WattvoxError("E_OUTPUT", `${dataDir} cannot be written to`, {
				cause,
			});
		};
		await mkdir(dataDir, { recursive: true }).catch(refused);
		await access(dataDir, constants.W_OK).catch(refused);
	}
	const { bavail, bsize } = await statfs(at);
	const free = bavail * bsize;
	const found = `${gib(free)} GiB free in ${dataDir ?? "the current folder"}`;
	if (dataDir !== undefined && free < ROOM)
		throw new WattvoxError(
			"E_DISK_FULL",
			`${found}; a first voice wants ${ROOM / 1e6} MB`,
		);
	return found;
}

/** What the agent says of itself; one that never ran is no problem before it is started. */
async function agent(dataDir: string): Promise<string> {
	const status = await readStatus(dataDir).catch(() => undefined);
	if (!status) return "never ran here";
	const { bundle, reason, runtime } = status.reported;
	const by = runtime?.name === "tensorrt" ? "TensorRT" : "ONNX Runtime";
	const not = runtime?.reason;
	return [
		status.running ? `runs as process ${status.pid}` : "does not run",
		bundle ? `speaks with ${bundle}` : "has no voice",
		...(runtime ? [`by ${by}`] : []),
		...(not ? [`no engine: ${not.code}: ${not.message}`] : []),
		status.connected ? "connected" : "not connected",
		...(reason ? [`${reason.code}: ${reason.message}`] : []),
	].join(", ");
}

/** What the agent has found out that the broker keeps from it. */
async function topics(dataDir: string): Promise<string> {
	const status = await readStatus(dataDir).catch(() => undefined);
	const denied = (status?.running && status.denied) || [];
	if (denied.length > 0)
		throw new WattvoxError(
			"E_DENIED",
			denied.map(({ kind, message }) => `${kind}: ${message}`).join("; "),
		);
	return status?.running
		? "none is denied, as far as the broker says"
		: "known while the agent runs";
}

/** What the agent believes: what it was given, and the roots that it followed since. */
async function believed(
	paths: readonly string[],
	dataDir?: string,
): Promise<{ trust: Trust; broken?: WattvoxError | undefined }> {
	const trust = await loadTrust(paths);
	if (dataDir === undefined || !(trust instanceof RootTrust)) return { trust };
	return { trust, broken: await new DeviceState(dataDir).recallRoots(trust) };
}

async function keys(
	paths: readonly string[],
	now: number,
	dataDir?: string,
): Promise<string> {
	const { trust, broken } = await believed(paths, dataDir);
	if (broken) throw broken;
	if (!(trust instanceof RootTrust)) return "plain keys, which may sign all";
	const { version, expires } = trust.root;
	if (trust.expires < now)
		throw new WattvoxError(
			"E_EXPIRED",
			`root ${version} has expired on ${expires}: no update is taken`,
		);
	return `root ${version}, good until ${expires}`;
}

async function answers(
	broker: NonNullable<DoctorOptions["broker"]>,
	o: DoctorOptions,
): Promise<string> {
	const { device, dataDir } = o;
	const status =
		dataDir === undefined
			? undefined
			: await readStatus(dataDir).catch(() => undefined);
	const taken = status?.running && status.connected;
	// under the agent's own id the broker would put the agent out; under another it may let nobody in
	const clientId =
		device !== undefined && dataDir !== undefined && !taken
			? device
			: `${(device ?? "device").slice(0, 50)}-doctor`;
	// keys that cannot be read are a finding of their own
	const floor = await timeFloor(o.dataDir, o.trust).catch(() => SOFTWARE_FLOOR);
	const link = new Link({
		...{ ...broker, clientId, persistent: false },
		timeFloor: () => floor,
	});
	const begin = performance.now();
	try {
		await link.start(o.signal);
		return `answers in ${Math.round(performance.now() - begin)} ms`;
	} catch (thrown) {
		if (!taken) throw thrown;
		return `the agent is connected; a second client is not let in (${asWattvoxError(thrown).message})`;
	} finally {
		await link.stop();
	}
}

const gib = (bytes: number): string => (bytes / 2 ** 30).toFixed(1);
