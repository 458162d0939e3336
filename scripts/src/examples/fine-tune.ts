import {
	differentiate,
	fit,
	inject,
	toPeft,
	writePeft,
} from "@wattvox/cloud-trainer";
import { readModel, type Tensor } from "@wattvox/onnx";

/** Fine-tunes any ONNX classifier with LoRA and writes a PEFT adapter; returns the losses. */
export async function fineTuneClassifier(
	model: string,
	batch: (step: number) => Record<string, Tensor>,
	out: string,
): Promise<number[]> {
	const lora = { rank: 4, alpha: 8, targets: "*", seed: 1 };
	const { graph, trainable, sites } = inject(await readModel(model), lora);
	// Every operator on the way has a gradient, or this names the one that has none.
	differentiate(graph, "logits", trainable);
	const losses: number[] = [];
	const { parameters } = await fit({
		graph,
		trainable,
		losses: [{ kind: "cross-entropy", output: "logits", target: "label" }],
		schedule: { kind: "cosine", peak: 0.02, warmup: 10 },
		groups: [{ match: "*.lora_B", rate: 4 }],
		steps: 150,
		batch,
		onStep: ({ values }) => losses.push(values.loss ?? Number.NaN),
	});
	const settings = { ...lora, fanInFanOut: false };
	await writePeft(out, toPeft(parameters, sites), settings, sites, model);
	return losses;
}
