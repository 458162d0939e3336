import { asWattvoxError, type ErrorCode, WattvoxError } from "@wattvox/core";
import type {
	Ports,
	Precision,
	TensorRtFacts,
	Trial,
	Weights,
	Workshop,
} from "@wattvox/runtime/tensorrt";
import type { VoiceConfig } from "@wattvox/synth";
import {
	ENGINE_LIMIT_DB,
	type EngineGap,
	engineGap,
	type GoldenRun,
} from "@wattvox/synth/tensorrt";
import type { EngineCache } from "./engine-cache.ts";
import type { EngineEntry, PlanFile, RefittedEntry } from "./entries.ts";

/** One way of making an engine for a voice. */
export interface Way {
	what: string;
	onnx: Uint8Array;
	refit: boolean;
	/** Every weight of the voice, and the names of those that differ from the base's. */
	weights?: Weights;
	changed?: readonly string[];
}

/** What an engine is held to. */
export interface Yardstick {
	facts: TensorRtFacts;
	ports: Ports;
	runs: () => Promise<readonly GoldenRun[]>;
	config: VoiceConfig;
}

export interface JudgeOptions {
	workshop: Pick<Workshop, "trial" | "refit">;
	cache: Pick<EngineCache, "refitted" | "refit" | "dropRefitted">;
	/** Digest of the bundle. */
	voice: string;
	precision: Precision;
	/** Private memory of a child process, bytes. */
	memoryBytes?: number;
	/** One line about what goes on. */
	note?: (line: string) => void;
	signal?: AbortSignal | undefined;
}

/** An engine that computed in a child process what ONNX Runtime computes. */
export interface JudgedEngine {
	entry: EngineEntry;
	/** The file that was tried: the engine's own, or that of a copy that was refitted for the voice. */
	plan: PlanFile;
	/** It is such a copy. */
	refitted: boolean;
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
}

/** Failures of a copy that was made earlier, after which a new one may do. */
const MAKE_ANEW: readonly ErrorCode[] = [
	"E_ENGINE_LOAD",
	"E_ENGINE_DIFFERS",
	"E_ENGINE_CRASH",
];

/**
 * Tries an engine and holds it to ONNX Runtime; where the voice has weights of its own, a copy of it that is
 * refitted with them. Such a copy is made once, by a child process, and kept in the cache as a file.
 *
 * INVARIANTS
 * - What is tried is the file that is returned, read from the disk: not what a refit left in a memory.
 * - A copy that does not hold is in the cache no more.
 *
 * @throws WattvoxError E_ENGINE_DIFFERS, and the workshop's codes; E_OUTPUT, E_DISK_FULL
 */
export async function judgeEngine(
	o: JudgeOptions,
	way: Pick<Way, "what" | "weights" | "changed">,
	entry: EngineEntry,
	given: Yardstick,
): Promise<JudgedEngine> {
	const { cache, voice, signal, note } = o;
	if (!way.weights) return hold(o, way, entry, entry, given);
	const old = await cache.refitted(entry, voice);
	if (old)
		try {
			return await hold(o, way, entry, old, given);
		} catch (thrown) {
			signal?.throwIfAborted();
			const { code } = asWattvoxError(thrown);
			if (!MAKE_ANEW.includes(code)) throw thrown;
			await cache.dropRefitted(entry, old);
			note?.(`the refitted copy does not hold any more (${code}); refitting`);
		}
	const made = await refit(o, way, way.weights, entry);
	try {
		return await hold(o, way, entry, made, given);
	} catch (thrown) {
		await cache.dropRefitted(entry, made);
		const { code, message } = asWattvoxError(thrown);
		// It is the copy that cannot be read; the engine could be.
		if (code !== "E_ENGINE_LOAD") throw thrown;
		throw new WattvoxError(
			"E_ENGINE_REFIT",
			`the refitted copy cannot be opened: ${message}`,
		);
	}
}

async function refit(
	{ cache, workshop, voice, note, signal, memoryBytes }: JudgeOptions,
	{ changed }: Pick<Way, "changed">,
	weights: Weights,
	entry: EngineEntry,
): Promise<RefittedEntry> {
	return cache.refit(entry, voice, async (out) => {
		const { seconds } = await workshop.refit({
			...{ engine: entry.path, weights, out, signal, memoryBytes },
			needed: changed,
		});
		note?.(`refitted a copy for the voice in ${seconds.toFixed(2)} s`);
	});
}

/** Opens a file in a child process, runs it, and compares. */
async function hold(
	{ workshop, precision, note, signal, memoryBytes }: JudgeOptions,
	{ what }: Pick<Way, "what">,
	entry: EngineEntry,
	{ path, sha256, size }: PlanFile,
	{ facts, ports, runs: speak, config }: Yardstick,
): Promise<JudgedEngine> {
	const runs = await speak();
	const feeds = runs.map((run) => run.feeds);
	const trial = await workshop.trial(path, {
		...{ ports, feeds, signal, memoryBytes },
	});
	const gap = engineGap(
		runs,
		trial.outputs.map((out) => out.wave?.data as Float32Array | undefined),
	);
	const limitDb = ENGINE_LIMIT_DB[precision];
	note?.(
		`${what}: ${gap.errorDb.toFixed(1)} dB off ONNX Runtime over ${runs.length} runs, limit ${limitDb} dB`,
	);
	if (!(gap.errorDb <= limitDb))
		throw new WattvoxError(
			"E_ENGINE_DIFFERS",
			`the engine is ${gap.errorDb.toFixed(1)} dB off ONNX Runtime, the limit is ${limitDb} dB; largest difference of a sample ${gap.worst.toPrecision(2)}`,
		);
	return {
		...{ entry, plan: { path, sha256, size }, refitted: path !== entry.path },
		...{ ports, facts, gap, limitDb, runs: runs.length },
		realTimeFactor: speed(trial, config),
		loadSeconds: trial.loadSeconds,
	};
}

/** Seconds per second of speech, over the runs but the first, which warms up. */
function speed(trial: Trial, config: VoiceConfig): number | null {
	const seconds = trial.seconds.slice(1);
	if (seconds.length === 0) return null;
	const mean = seconds.reduce((a, b) => a + b, 0) / seconds.length;
	return mean / ((config.chunk * config.hop) / config.sampleRate);
}
