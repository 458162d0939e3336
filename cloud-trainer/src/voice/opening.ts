import type { AcousticConfig } from "@wattvox/models";
import { loraKey, savedKey, type Tensor } from "@wattvox/onnx";
import type { Example } from "../data/features.ts";
import { BLANK, teacherOutputs } from "../graphs/acoustic.ts";
import { withWeights } from "../pretrain/base.ts";
import type { VoiceData } from "./adapt.ts";
import { LAST, solvedLayer } from "./head-start.ts";
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
	const last = graph.nodes.find((n) => n.inputs.includes(LAST.weight));
	const values = [
		...(o.decoderOnly ? ["t.content"] : []),
		...(o.headStart ? [last?.inputs[0] as string] : []),
	];
	const rows = await sentenceRows(graph, values, voice, o.threads);
	const content = o.decoderOnly
		? new Map(voice.examples.map((e, i) => [e, rows[i]?.[0] as Float32Array]))
		: undefined;
	if (!o.headStart) return { weights, ...(content && { content }) };
	const trained = voice.examples
		.map((e, i) => ({ e, hidden: rows[i]?.at(-1) as Float32Array }))
		.filter(({ e }) => e.split === "train");
	const { w, b } = solvedLayer(
		weights.get(LAST.weight) as Tensor,
		weights.get(LAST.bias) as Tensor,
		trained.map((t) => t.hidden),
		trained.map((t) => Float32Array.from(t.e.mel)),
	);
	return {
		weights: new Map([...weights, [LAST.weight, w], [LAST.bias, b]]),
		...(content && { content }),
	};
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
