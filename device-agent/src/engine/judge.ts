import { WattvoxError } from "@wattvox/core";
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
import type { EngineEntry } from "./engine-cache.ts";

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
	workshop: Pick<Workshop, "trial">;
	precision: Precision;
	/** One line about what goes on. */
	note?: (line: string) => void;
	signal?: AbortSignal | undefined;
}

/** An engine that computed in a child process what ONNX Runtime computes. */
export interface JudgedEngine {
	entry: EngineEntry;
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

/**
 * Tries an engine and holds it to ONNX Runtime.
 * @throws WattvoxError E_ENGINE_DIFFERS, and the workshop's codes
 */
export async function judgeEngine(
	o: JudgeOptions,
	way: Pick<Way, "what" | "weights" | "changed">,
	entry: EngineEntry,
	given: Yardstick,
): Promise<JudgedEngine> {
	const { trial, weights } = await tryOut(o, way, entry, given);
	const runs = await given.runs();
	const gap = engineGap(
		runs,
		trial.outputs.map((out) => out.wave?.data as Float32Array | undefined),
	);
	const limitDb = ENGINE_LIMIT_DB[o.precision];
	o.note?.(
		`${way.what}: ${gap.errorDb.toFixed(1)} dB off ONNX Runtime over ${runs.length} runs, limit ${limitDb} dB`,
	);
	if (!(gap.errorDb <= limitDb))
		throw new WattvoxError(
			"E_ENGINE_DIFFERS",
			`the engine is ${gap.errorDb.toFixed(1)} dB off ONNX Runtime, the limit is ${limitDb} dB; largest difference of a sample ${gap.worst.toPrecision(2)}`,
		);
	return {
		entry,
		...(weights && { weights }),
		...{ ports: given.ports, facts: given.facts, gap, limitDb },
		runs: runs.length,
		realTimeFactor: speed(trial, given.config),
		loadSeconds: trial.loadSeconds,
		refitSeconds: trial.refitSeconds,
	};
}

interface Tried {
	trial: Trial;
	/** What was refitted. */
	weights?: Weights;
}

/** Opens an engine in a child process, refits it where the voice needs that, and runs it. */
async function tryOut(
	{ workshop, signal }: JudgeOptions,
	way: Pick<Way, "weights" | "changed">,
	entry: EngineEntry,
	{ ports, runs }: Yardstick,
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
