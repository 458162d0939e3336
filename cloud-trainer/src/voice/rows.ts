import { encodeModel, type Graph, type Tensor } from "@wattvox/onnx";
import { awaken, createEngine } from "@wattvox/runtime";
import { acousticBatch } from "../data/acoustic-batch.ts";
import { StepRandom } from "../data/random.ts";
import { subgraph } from "../train/prune.ts";
import type { VoiceData } from "./adapt-options.ts";

/** Works with the engines' thread there throughout, where it is `needed`: each engine would start its own. */
export async function amongEngines<T>(
	needed: boolean | undefined,
	work: () => Promise<T>,
): Promise<T> {
	const done = needed ? awaken() : undefined;
	try {
		return await work();
	} finally {
		await done?.();
	}
}

/**
 * Values that an acoustic graph has for each sentence of a clip, said with the clip's own timing.
 * @param graph with its weights; takes what `acousticBatch` gives
 * @param values names of float32 values of the graph
 * @returns for each sentence the values in the order asked for, flat
 */
export async function sentenceRows(
	graph: Graph,
	values: readonly string[],
	{ examples, speaker }: VoiceData,
	threads: number,
): Promise<Float32Array[][]> {
	const engine = await createEngine(encodeModel(subgraph(graph, values)), {
		threads,
	});
	try {
		const rows: Float32Array[][] = [];
		for (const e of examples) {
			const batch = acousticBatch(
				[e],
				{ size: 1, frames: e.frames, edge: 0, posteriorShare: 0 },
				() => speaker,
				0,
				new StepRandom(0, 0),
			);
			const feeds = Object.fromEntries(
				engine.inputs.map((i) => [i.name, batch[i.name] as Tensor]),
			);
			const said = await engine.run(feeds as never);
			rows.push(
				values.map((name) =>
					Float32Array.from(said[name]?.data as Float32Array),
				),
			);
		}
		return rows;
	} finally {
		await engine.dispose();
	}
}
