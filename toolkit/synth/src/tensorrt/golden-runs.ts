import {
	createEngine,
	type Engine,
	type Feeds,
	tensor,
	tensorOf,
} from "@wattvox/runtime";
import type { Precision } from "@wattvox/runtime/tensorrt";
import type { Golden } from "../golden.ts";
import { type LoadOptions, Voice } from "../voice.ts";
import type { VoiceFiles } from "../voice-files.ts";

/** One run of a decoder by ONNX Runtime: what it was fed, what it made. */
export interface GoldenRun {
	feeds: Feeds;
	/** [1, samples], full scale 1. */
	wave: Float32Array;
}

/** Runs kept, spread over the sentences: some seconds of speech, some megabytes. */
const RUNS = 12;

/**
 * Speaks a bundle's golden sentences by ONNX Runtime and keeps what its decoder was fed and made.
 * @throws as {@link Voice.load} and {@link Voice.speak}
 */
export async function goldenRuns(
	files: VoiceFiles,
	golden: Golden,
	options: Pick<LoadOptions, "threads" | "frontend" | "signal"> = {},
): Promise<GoldenRun[]> {
	const { threads = 1, signal } = options;
	const runs: GoldenRun[] = [];
	const voice = await Voice.load(files, {
		...options,
		mergeHere: true,
		warmUp: false,
		engine: async (model, { part }) => {
			const engine = await createEngine(model, { threads, signal });
			return part === "decoder" ? recording(engine, runs) : engine;
		},
	});
	try {
		for (const { text, seed } of golden.sentences)
			await voice.speak(text, { seed, signal }).samples();
	} finally {
		await voice.dispose();
	}
	const every = Math.max(1, Math.ceil(runs.length / RUNS));
	return runs.filter((_, i) => i % every === 0);
}

function recording(engine: Engine, runs: GoldenRun[]): Engine {
	return {
		inputs: engine.inputs,
		outputs: engine.outputs,
		dispose: () => engine.dispose(),
		async run(feeds, options) {
			// What is given away is gone afterwards.
			const kept = Object.fromEntries(
				Object.entries(feeds).map(([name, feed]) => {
					const { dtype, dims, data } = tensorOf(feed);
					return [name, tensor(dtype, dims, data.slice())];
				}),
			);
			const made = await engine.run(feeds, options);
			const wave = made.wave?.data;
			if (wave instanceof Float32Array)
				runs.push({ feeds: kept, wave: wave.slice() });
			return made;
		},
	};
}

/** How far an engine is from ONNX Runtime over some runs. */
export interface EngineGap {
	/** Root mean square of the difference over that of ONNX Runtime's samples, dB; -Infinity: none at all. */
	errorDb: number;
	/** Largest difference of a sample; full scale is 1. */
	worst: number;
}

/**
 * The most that an engine's error may be, dB. In single precision the kernels only add in another order,
 * which is some -100 dB, far below its limit; TF32's products, which fp32 engines are built without, would
 * not always hold it. Half precision comes to -24 dB in the worst simulated voice of the shipped base, and
 * bfloat16 does not hold there (`npm run bench -- rounding`). They have not been tried on a Jetson.
 */
export const ENGINE_LIMIT_DB: Readonly<Record<Precision, number>> = {
	fp32: -40,
	fp16: -20,
	bf16: -15,
};

/**
 * Compares an engine's waves with ONNX Runtime's. What is no number, or not there, is infinitely far.
 * @param made one wave per run
 */
export function engineGap(
	runs: readonly GoldenRun[],
	made: readonly (ArrayLike<number> | undefined)[],
): EngineGap {
	let [error, power, worst] = [0, 0, 0];
	runs.forEach(({ wave }, i) => {
		const other = made[i];
		if (other?.length !== wave.length) worst = Number.POSITIVE_INFINITY;
		for (let k = 0; k < wave.length; k++) {
			const want = wave[k] ?? 0;
			const off = Math.abs(want - (other?.[k] ?? Number.NaN));
			error += off * off;
			power += want * want;
			worst = off <= worst ? worst : off;
		}
	});
	if (!Number.isFinite(error) || !Number.isFinite(worst) || runs.length === 0)
		return {
			errorDb: Number.POSITIVE_INFINITY,
			worst: Number.POSITIVE_INFINITY,
		};
	// Where ONNX Runtime is silent, silence is the only thing that is not far.
	return { errorDb: 10 * Math.log10(error === 0 ? 0 : error / power), worst };
}
