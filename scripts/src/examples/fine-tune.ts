import { differentiate, fit, inject, savePeft } from "@wattvox/cloud-trainer";
import { readModel, type Tensor } from "@wattvox/onnx";

type Batch = (step: number) => Record<string, Tensor>;

/** Fine-tunes any ONNX classifier with LoRA and writes a PEFT adapter; the last loss. */
export async function fineTune(model: string, batch: Batch, out: string) {
	const adapted = inject(await readModel(model), { rank: 4 });
	// Every operator on the way has a gradient, or this names the one that has none.
	differentiate(adapted.graph, "logits", adapted.trainable);
	const { parameters, loss } = await fit({
		...adapted,
		losses: [{ kind: "cross-entropy", output: "logits", target: "label" }],
		schedule: { kind: "cosine", peak: 0.04, warmup: 10 },
		steps: 150,
		batch,
	});
	await savePeft(out, parameters, adapted, model);
	return loss;
}
