import type { AcousticConfig } from "@wattvox/models";
import { type Graph, loraKey, savedKey, type Tensor } from "@wattvox/onnx";
import type { Example } from "../data/features.ts";
import { BLANK, teacherOutputs } from "../graphs/acoustic.ts";
import { withWeights } from "../pretrain/base.ts";
import type { VoiceData } from "./adapt-options.ts";
import { LAST, layerDistance, solvedLayer } from "./head-start.ts";
import type { VoiceLevers } from "./levers.ts";
import { sentenceRows } from "./rows.ts";

/** What an adaptation begins with. */
export interface Opening {
	weights: ReadonlyMap<string, Tensor>;
	/** Content rows [phones, 256] of each sentence, where the text side stays as it is. */
	content?: ReadonlyMap<Example, Float32Array>;
}

/**
 * What is done once, before the first step, in one pass over the clip: the last layer solved in closed
 * form (`headStart`), the text side's content rows kept (`decoderOnly`).
 */
export async function opening(
	c: AcousticConfig,
	weights: ReadonlyMap<string, Tensor>,
	voice: VoiceData,
	o: VoiceLevers & { threads: number },
): Promise<Opening> {
	if (!o.headStart && !o.decoderOnly) return { weights };
	const graph = withWeights(teacherOutputs(c, BLANK, false), weights);
	const values = [
		...(o.decoderOnly ? ["t.content"] : []),
		...(o.headStart ? [beforeLast(graph)] : []),
	];
	const rows = await sentenceRows(graph, values, voice, o.threads);
	const content = o.decoderOnly
		? new Map(voice.examples.map((e, i) => [e, rows[i]?.[0] as Float32Array]))
		: undefined;
	if (!o.headStart) return { weights, ...(content && { content }) };
	const { w, b } = solvedOn(
		weights,
		voice,
		rows.map((r) => r.at(-1) as Float32Array),
	);
	return {
		weights: new Map([...weights, [LAST.weight, w], [LAST.bias, b]]),
		...(content && { content }),
	};
}

/** The value that the last layer reads. */
const beforeLast = (graph: Graph): string =>
	graph.nodes.find((n) => n.inputs.includes(LAST.weight))?.inputs[0] as string;

/** The sentences of one half of a voice's clip, with their hidden rows. */
function half(
	{ examples }: VoiceData,
	hidden: readonly Float32Array[],
	split: Example["split"],
): { hidden: Float32Array[]; mels: Float32Array[] } {
	const mine = examples
		.map((e, i) => ({ e, hidden: hidden[i] as Float32Array }))
		.filter(({ e }) => e.split === split);
	return {
		hidden: mine.map((m) => m.hidden),
		mels: mine.map(({ e }) => Float32Array.from(e.mel)),
	};
}

/** The last layer solved on a voice's training sentences. @param hidden rows of each sentence */
function solvedOn(
	weights: ReadonlyMap<string, Tensor>,
	voice: VoiceData,
	hidden: readonly Float32Array[],
): { w: Tensor; b: Tensor } {
	const { hidden: rows, mels } = half(voice, hidden, "train");
	return solvedLayer(
		weights.get(LAST.weight) as Tensor,
		weights.get(LAST.bias) as Tensor,
		rows,
		mels,
	);
}

/** A last layer solved anew. */
export interface SolvedLast {
	w: Tensor;
	b: Tensor;
	/** Whether the held-out sentences' log-mels are no further away with it; true where there are none. */
	better: boolean;
	/** What it was solved on: of each sentence the rows that the layer reads, whatever the layer is. */
	hidden: readonly Float32Array[];
}

/** The last layer solved for an adapted model: the layers before it have moved since it was trained. */
export async function solvedLast(
	c: AcousticConfig,
	weights: ReadonlyMap<string, Tensor>,
	voice: VoiceData,
	threads: number,
): Promise<SolvedLast> {
	const graph = withWeights(teacherOutputs(c, BLANK, false), weights);
	const rows = await sentenceRows(graph, [beforeLast(graph)], voice, threads);
	const hidden = rows.map(([row]) => row as Float32Array);
	const { w, b } = solvedOn(weights, voice, hidden);
	const held = half(voice, hidden, "val");
	const far = (w: Tensor, b: Tensor) =>
		layerDistance(w, b, held.hidden, held.mels);
	const before = far(
		weights.get(LAST.weight) as Tensor,
		weights.get(LAST.bias) as Tensor,
	);
	return { w, b, better: !(far(w, b) > before), hidden };
}

/** Lets an adapter bring the last layer whole, in place of a pair beside it. */
export function bringLast(
	adapter: Map<string, Tensor>,
	w: Tensor,
	b: Tensor,
): void {
	for (const half of ["A", "B"] as const)
		adapter.delete(loraKey(LAST.weight, half));
	adapter.set(savedKey(LAST.weight), w);
	adapter.set(savedKey(LAST.bias), b);
}
