import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { differentiate, mergeAdapter, readPeft } from "@wattvox/cloud-trainer";
import {
	emptyGraph,
	encodeModel,
	floats,
	GraphBuilder,
	int64s,
	readModel,
	type Tensor,
	writeModel,
} from "@wattvox/onnx";
import { createEngine } from "@wattvox/runtime";
import test from "ava";
import { fineTuneClassifier } from "./fine-tune.ts";

const numbers = (dims: number[], k: number): Tensor =>
	floats(
		Float32Array.from({ length: dims.reduce((a, b) => a * b, 1) }, (_, i) =>
			Math.sin(k * (i + 1)),
		),
		dims,
	);

/** A classifier as torch exports one at opset 18: Gemm with turned weights, Relu, no loss. */
async function foreign(path: string): Promise<void> {
	const b = new GraphBuilder(emptyGraph("main_graph", 18));
	const x = b.input("input", "float32", ["batch", 6]);
	const linear = (name: string, v: typeof x, from: number, to: number) =>
		b.op(
			"Gemm",
			[
				v,
				b.weight(`${name}.weight`, numbers([to, from], 1.3)),
				b.weight(`${name}.bias`, numbers([to], 0.2)),
			],
			{ transB: 1 },
		);
	const h = b.op("Relu", [linear("net.fc1", x, 6, 24)]);
	b.output(linear("net.head", h, 24, 3), "logits");
	await writeModel(path, b.graph);
}

/** Which of the first three inputs is largest. */
function batch(step: number): Record<string, Tensor> {
	const x = numbers([32, 6], 0.37 + (step % 8));
	const label = Array.from({ length: 32 }, (_, i) => {
		const row = Array.from(x.data.slice(6 * i, 6 * i + 3), Number);
		return row.indexOf(Math.max(...row));
	});
	return { input: x, label: int64s(label, [32]) };
}

test("the example of docs/TRAINING.md trains a model from elsewhere", async (t) => {
	const dir = await mkdtemp(join(tmpdir(), "wattvox-example-"));
	t.teardown(() => rm(dir, { recursive: true }));
	const model = join(dir, "classifier.onnx");
	await foreign(model);
	const losses = await fineTuneClassifier(model, batch, join(dir, "adapter"));
	t.true(
		(losses.at(-1) ?? 9) < (losses[0] ?? 0) / 3,
		`${losses[0]} ${losses.at(-1)}`,
	);
	const graph = await readModel(model);
	t.is(differentiate(graph, "logits", ["net.fc1.weight"]).gradients.size, 1);
	const merged = mergeAdapter(graph, await readPeft(join(dir, "adapter")));
	const engine = await createEngine(encodeModel(merged.graph));
	t.teardown(() => engine.dispose());
	const { input, label } = batch(3);
	const { logits } = await engine.run({ input } as never);
	let right = 0;
	for (let i = 0; i < 32; i++) {
		const row = Array.from(logits?.data.slice(3 * i, 3 * i + 3) ?? [], Number);
		if (row.indexOf(Math.max(...row)) === Number(label?.data[i])) right++;
	}
	t.true(right >= 28, String(right));
});
