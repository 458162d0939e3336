import { readFile } from "node:fs/promises";
import { sha256 } from "@wattvox/bundle";
import { asWattvoxError, type ErrorCode, WattvoxError } from "@wattvox/core";
import {
	type BuildProgress,
	type EngineKey,
	engineKey,
	type Ports,
	type Precision,
	type TensorRtFacts,
	type Trial,
	type Weights,
	type Workshop,
} from "@wattvox/runtime/tensorrt";
import {
	type Frontend,
	parseGolden,
	readVoiceFiles,
	type VoiceConfig,
} from "@wattvox/synth";
import {
	decoderModel,
	ENGINE_LIMIT_DB,
	type EngineGap,
	engineGap,
	type GoldenRun,
	goldenRuns,
} from "@wattvox/synth/tensorrt";
import {
	type EngineCache,
	type EngineEntry,
	engineId,
} from "./engine-cache.ts";

/** What is asked of an engine beside its voice. */
export interface EngineWish {
	precision: Precision;
	/** TensorRT's scratch memory, bytes; 512 MiB by default. */
	workspaceBytes?: number;
	/** Builder optimisation level 0 to 5; TensorRT's default when absent. */
	level?: number;
	/** Longest a build may take, ms. */
	deadlineMs?: number;
}

export interface PrepareOptions extends EngineWish {
	/** A laid-out bundle. */
	dir: string;
	/** Its digest, or any other name of it in 64 hex digits. */
	voice: string;
	/** Path of its golden.json; null when it has none. */
	golden: string | null;
	cache: EngineCache;
	workshop: Workshop;
	/** Who builds; the workshop's own builder by default. */
	builder?: Pick<Workshop, "buildEngine">;
	/** Builder keys whose engines may be used beside those built here. Default: none. */
	builders?: readonly string[];
	/** Try again what failed before. Default false. */
	again?: boolean;
	/** Threads of ONNX Runtime, which says what is right. Default 1. */
	threads?: number;
	frontend?: Frontend;
	/** One line about what goes on. */
	note?: (line: string) => void;
	onProgress?: (progress: BuildProgress) => void;
	signal?: AbortSignal | undefined;
}

/** An engine that computed in a child process what ONNX Runtime computes. */
export interface PreparedEngine {
	entry: EngineEntry;
	/** Made now, not found. */
	fresh: boolean;
	/** What was refitted into it for this voice; absent when it speaks as it is. */
	weights?: Weights;
	ports: Ports;
	facts: TensorRtFacts;
	gap: EngineGap;
	/** The most that `gap.errorDb` may be. */
	limitDb: number;
	/** Golden runs compared. */
	runs: number;
	/** Seconds of computing per second of speech, the first run left out; null with a single run. */
	realTimeFactor: number | null;
	loadSeconds: number;
	refitSeconds: number;
}

/** Failures that say nothing about the engine. */
const NOT_ITS_FAULT: readonly ErrorCode[] = [
	"E_INTERRUPTED",
	"E_DISK_FULL",
	"E_OUTPUT",
	"E_TENSORRT",
];
/** Failures of one way of making an engine that another way may not have. */
const OTHER_WAY: readonly ErrorCode[] = [
	"E_ENGINE_BUILD",
	"E_ENGINE_REFIT",
	"E_ENGINE_DIFFERS",
	"E_ENGINE_CRASH",
	"E_ENGINE_LOAD",
];

interface Way {
	what: string;
	onnx: Uint8Array;
	refit: boolean;
	/** Every weight of the voice, and the names of those that differ from the base's. */
	weights?: Weights;
	changed?: readonly string[];
}

/**
 * Brings an engine for a voice: the one in the cache, or a new one. First a refittable engine of the base,
 * which serves every voice of that base; where that does not hold, one of the voice alone. Whichever it is,
 * it is opened, refitted and run in a child process and held to what ONNX Runtime makes of the same input.
 *
 * INVARIANTS
 * - What is returned survived its trial and lies in the cache with the bytes that were tried.
 * - An engine that failed for a voice is not tried again for it unless asked for.
 * - Nothing here opens an engine in this process.
 *
 * @throws WattvoxError E_ENGINE_DIFFERS, and the workshop's codes; E_FILE_FORMAT (no golden sentences);
 *   E_TENSORRT_OP; E_DISK_FULL, E_OUTPUT; the signal's reason
 */
export async function prepareEngine(
	o: PrepareOptions,
): Promise<PreparedEngine> {
	const { signal } = o;
	const facts = await o.workshop.facts({ signal });
	if (!o.golden)
		throw new WattvoxError(
			"E_FILE_FORMAT",
			"the bundle has no golden sentences to hold an engine to",
		);
	const golden = parseGolden(await readFile(o.golden));
	const files = await readVoiceFiles(o.dir);
	const model = await decoderModel(files, facts.tensorrt);
	// What failed before is known without speaking again.
	let spoken: Promise<GoldenRun[]> | undefined;
	const runs = () => {
		spoken ??= goldenRuns(files, golden, {
			threads: o.threads ?? 1,
			signal,
			...(o.frontend && { frontend: o.frontend }),
		});
		return spoken;
	};
	const { weights, ports } = model;
	const ways: Way[] = [
		{
			what: "engine of the base, refitted",
			onnx: model.base,
			refit: true,
			...(files.config.adapter && { weights, changed: model.changed }),
		},
		{ what: "engine of the voice", onnx: model.merged, refit: false },
	];
	let last: WattvoxError | undefined;
	for (const way of ways) {
		try {
			return await attempt(o, way, {
				facts,
				ports,
				runs,
				config: files.config,
			});
		} catch (thrown) {
			last = asWattvoxError(thrown);
			if (signal?.aborted || !OTHER_WAY.includes(last.code)) throw last;
			o.note?.(`${way.what}: ${last.code}: ${last.message}`);
		}
	}
	throw last;
}

interface Given {
	facts: TensorRtFacts;
	ports: Ports;
	runs: () => Promise<readonly GoldenRun[]>;
	config: VoiceConfig;
}

async function attempt(
	o: PrepareOptions,
	way: Way,
	given: Given,
): Promise<PreparedEngine> {
	const { cache, voice, precision } = o;
	const { facts, ports, config } = given;
	const key = engineKey(facts, sha256(way.onnx), {
		precision,
		refit: way.refit,
		...(o.workspaceBytes !== undefined && { workspaceBytes: o.workspaceBytes }),
		...(o.level !== undefined && { level: o.level }),
	});
	const id = engineId(key);
	const known = (await cache.failures()).find(
		(f) => f.engine === id && f.voice === voice,
	);
	if (known && !o.again)
		throw new WattvoxError(known.code, `as before: ${known.message}`);
	try {
		let entry = allowed(o, await cache.find(key));
		let fresh = entry === undefined;
		entry ??= await build(o, way, key);
		let tried: Tried;
		try {
			tried = await tryOut(o, way, entry, given);
		} catch (thrown) {
			if (fresh || asWattvoxError(thrown).code !== "E_ENGINE_LOAD")
				throw thrown;
			// What this TensorRT does not read any more is worth nothing to anybody.
			o.note?.(
				`the cached ${way.what} is not readable any more; building anew`,
			);
			await cache.remove(id);
			fresh = true;
			entry = await build(o, way, key);
			tried = await tryOut(o, way, entry, given);
		}
		const { trial, weights } = tried;
		const runs = await given.runs();
		const gap = engineGap(
			runs,
			trial.outputs.map((out) => out.wave?.data as Float32Array | undefined),
		);
		const limitDb = ENGINE_LIMIT_DB[precision];
		o.note?.(
			`${way.what}: ${gap.errorDb.toFixed(1)} dB off ONNX Runtime over ${runs.length} runs, limit ${limitDb} dB`,
		);
		if (!(gap.errorDb <= limitDb))
			throw new WattvoxError(
				"E_ENGINE_DIFFERS",
				`the engine is ${gap.errorDb.toFixed(1)} dB off ONNX Runtime, the limit is ${limitDb} dB; largest difference of a sample ${gap.worst.toPrecision(2)}`,
			);
		await cache.forgive(id, voice);
		return {
			entry,
			fresh,
			...(weights && { weights }),
			ports,
			facts,
			gap,
			limitDb,
			runs: runs.length,
			realTimeFactor: speed(trial, config),
			loadSeconds: trial.loadSeconds,
			refitSeconds: trial.refitSeconds,
		};
	} catch (thrown) {
		const { code, message } = asWattvoxError(thrown);
		if (!o.signal?.aborted && !NOT_ITS_FAULT.includes(code))
			await cache.fail({ engine: id, voice, code, message });
		throw thrown;
	}
}

/** An engine that was built elsewhere counts while the key that signed it does. */
function allowed(
	{ builders = [], note }: PrepareOptions,
	entry: EngineEntry | undefined,
): EngineEntry | undefined {
	if (entry?.origin.kind !== "signed") return entry;
	if (builders.includes(entry.origin.key)) return entry;
	note?.("the engine there is signed by a key that builds nothing here");
	return undefined;
}

async function build(
	o: PrepareOptions,
	way: Way,
	key: EngineKey,
): Promise<EngineEntry> {
	const { cache, signal } = o;
	o.note?.(`building the ${way.what}`);
	const timingCache = await cache.timing(key);
	const built = await (o.builder ?? o.workshop).buildEngine(way.onnx, {
		precision: o.precision,
		refit: way.refit,
		workspaceBytes: o.workspaceBytes,
		level: o.level,
		deadlineMs: o.deadlineMs,
		timingCache,
		onProgress: o.onProgress,
		signal,
	});
	if (built.timingCache.length > 0)
		await cache.setTiming(key, built.timingCache);
	return cache.put(key, built.engine, {
		kind: "built",
		seconds: built.seconds,
	});
}

interface Tried {
	trial: Trial;
	/** What was refitted. */
	weights?: Weights;
}

/** Opens an engine in a child process, refits it where the voice needs that, and runs it. */
async function tryOut(
	{ workshop, signal }: PrepareOptions,
	way: Way,
	entry: EngineEntry,
	{ ports, runs }: Given,
): Promise<Tried> {
	const feeds = (await runs()).map((run) => run.feeds);
	const request = { ports, feeds, signal };
	if (!way.weights) return { trial: await workshop.trial(entry.path, request) };
	// TensorRT folds some constants: what can be replaced is for it to say.
	const { refittable } = await workshop.trial(entry.path, { ports, signal });
	const names = new Set(refittable);
	const lost = way.changed?.find((name) => !names.has(name));
	if (lost !== undefined)
		throw new WattvoxError(
			"E_ENGINE_REFIT",
			`the engine does not allow the weight ${lost} to be replaced`,
		);
	// All of them: a layer fused from several weights wants them together.
	const weights = Object.fromEntries(
		Object.entries(way.weights).filter(([name]) => names.has(name)),
	);
	return {
		trial: await workshop.trial(entry.path, { ...request, refit: weights }),
		weights,
	};
}

/** Seconds per second of speech, over the runs but the first, which warms up. */
function speed(trial: Trial, config: VoiceConfig): number | null {
	const seconds = trial.seconds.slice(1);
	if (seconds.length === 0) return null;
	const mean = seconds.reduce((a, b) => a + b, 0) / seconds.length;
	return mean / ((config.chunk * config.hop) / config.sampleRate);
}
