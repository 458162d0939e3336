import { readFile } from "node:fs/promises";
import { sha256 } from "@wattvox/bundle";
import { asWattvoxError, type ErrorCode, WattvoxError } from "@wattvox/core";
import {
	type BuildProgress,
	type EngineKey,
	engineKey,
	type Precision,
	type Workshop,
} from "@wattvox/runtime/tensorrt";
import { type Frontend, parseGolden, readVoiceFiles } from "@wattvox/synth";
import {
	decoderModel,
	type GoldenRun,
	goldenRuns,
} from "@wattvox/synth/tensorrt";
import type { EngineCache } from "./engine-cache.ts";
import { type EngineEntry, engineId } from "./entries.ts";
import {
	type JudgedEngine,
	judgeEngine,
	type Way,
	type Yardstick,
} from "./judge.ts";

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
	/**
	 * Brings an engine that a build station made into the cache, so that it need not be built here.
	 * @returns the id of the trusted builder key that signed it; null when there is none to be had
	 */
	bring?: (key: EngineKey) => Promise<string | null>;
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

/** Such an engine, and whether it was made now or found. */
export interface PreparedEngine extends JudgedEngine {
	fresh: boolean;
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

/**
 * Brings an engine for a voice: the one in the cache, one that a build station made, or a new one. First a refittable engine of the base,
 * which serves every voice of that base; where that does not hold, one of the voice alone. Whichever it is,
 * it is opened, refitted and run in a child process and held to what ONNX Runtime makes of the same input.
 *
 * INVARIANTS
 * - What is returned survived its trial and lies in the cache with the bytes that were tried.
 * - An engine that failed for a voice is not tried again for it unless asked for; in the place of one that
 *   came from elsewhere this device's own is built.
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
	const given: Given = {
		...{ facts, ports, runs, config: files.config },
		builders: new Set(o.builders),
	};
	let last: WattvoxError | undefined;
	const failed = new Set<Way>();
	// What can be had without building comes before what takes minutes of a device's processor.
	for (const mayBuild of o.bring ? [false, true] : [true])
		for (const way of ways.filter((w) => !failed.has(w)))
			try {
				const made = await attempt(o, way, given, mayBuild);
				if (made) return made;
			} catch (thrown) {
				last = asWattvoxError(thrown);
				if (signal?.aborted || !OTHER_WAY.includes(last.code)) throw last;
				failed.add(way);
				o.note?.(`${way.what}: ${last.code}: ${last.message}`);
			}
	throw last;
}

interface Given extends Yardstick {
	/** Builder keys whose engines may be used. */
	builders: Set<string>;
}

/** @returns undefined: there is none, and none may be built yet */
async function attempt(
	o: PrepareOptions,
	way: Way,
	given: Given,
	mayBuild: boolean,
): Promise<PreparedEngine | undefined> {
	const { cache, voice, precision } = o;
	const { facts } = given;
	const key = engineKey(facts, sha256(way.onnx), {
		precision,
		refit: way.refit,
		...(o.workspaceBytes !== undefined && { workspaceBytes: o.workspaceBytes }),
		...(o.level !== undefined && { level: o.level }),
	});
	const id = engineId(key);
	const known = await cache.failures.find(id, voice);
	if (known && !o.again)
		throw new WattvoxError(known.code, `as before: ${known.message}`);
	try {
		let entry = allowed(o, given, await cache.find(key));
		if (!entry && o.bring && !mayBuild) {
			const signer = await o.bring(key);
			if (signer !== null) given.builders.add(signer);
			entry = allowed(o, given, await cache.find(key));
		}
		if (entry)
			try {
				const made = await judgeEngine(o, way, entry, given);
				await cache.failures.forgive(id, voice);
				return { ...made, fresh: false };
			} catch (thrown) {
				const { code } = asWattvoxError(thrown);
				// What this TensorRT does not read any more is worth nothing to anybody; what others built is
				// worth no more than what it computes.
				const foreign = entry.origin.kind === "signed";
				if (!(foreign ? OTHER_WAY.includes(code) : code === "E_ENGINE_LOAD"))
					throw thrown;
				o.signal?.throwIfAborted();
				o.note?.(
					foreign
						? `the ${way.what} that came does not hold here (${code}); building our own`
						: `the cached ${way.what} is not readable any more; building anew`,
				);
				await cache.remove(id);
			}
		if (!mayBuild) return undefined;
		const made = await judgeEngine(o, way, await build(o, way, key), given);
		await cache.failures.forgive(id, voice);
		return { ...made, fresh: true };
	} catch (thrown) {
		const { code, message } = asWattvoxError(thrown);
		if (!o.signal?.aborted && !NOT_ITS_FAULT.includes(code))
			await cache.failures.add({ engine: id, voice, code, message });
		throw thrown;
	}
}

/** An engine that was built elsewhere counts while the key that signed it does. */
function allowed(
	{ note }: PrepareOptions,
	{ builders }: Given,
	entry: EngineEntry | undefined,
): EngineEntry | undefined {
	if (entry?.origin.kind !== "signed") return entry;
	if (builders.has(entry.origin.key)) return entry;
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
