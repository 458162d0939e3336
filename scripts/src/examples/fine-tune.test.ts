import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { mergeAdapter, readPeft } from "@wattvox/cloud-trainer";
import {
	encodeModel,
	floats,
	int64s,
	readModel,
	type Tensor,
} from "@wattvox/onnx";
import { createEngine } from "@wattvox/runtime";
import test from "ava";
import { fineTune } from "./fine-tune.ts";

const numbers = (dims: number[], k: number): Tensor =>
	floats(
		Float32Array.from({ length: dims.reduce((a, b) => a * b, 1) }, (_, i) =>
			Math.sin(k * (i + 1)),
		),
		dims,
	);

/** What docs/TRAINING.md exports from PyTorch. */
const MODEL = fileURLToPath(
	new URL("../../../cloud-trainer/fixtures/guide.onnx", import.meta.url),
);

/** Which of the first four inputs is largest. */
function batch(step: number): Record<string, Tensor> {
	const x = numbers([32, 8], 0.37 + (step % 8));
	const label = Array.from({ length: 32 }, (_, i) => {
		const row = Array.from(x.data.slice(8 * i, 8 * i + 4), Number);
		return row.indexOf(Math.max(...row));
	});
	return { input: x, label: int64s(label, [32]) };
}

test("the example is twenty lines, and the page has it as it is", async (t) => {
	const at = (path: string) =>
		readFile(
			fileURLToPath(new URL(`../../../${path}`, import.meta.url)),
			"utf8",
		);
	const example = await at("scripts/src/examples/fine-tune.ts");
	t.true(example.trimEnd().split("\n").length <= 20);
	t.true((await at("docs/TRAINING.md")).includes(`\`\`\`ts\n${example}\`\`\``));
});

test("the example of docs/TRAINING.md trains a model from elsewhere", async (t) => {
	const dir = await mkdtemp(join(tmpdir(), "wattvox-example-"));
	t.teardown(() => rm(dir, { recursive: true }));
	const loss = await fineTune(MODEL, batch, join(dir, "adapter"));
	// Guessing among four costs ln 4 = 1.39.
	t.true((loss ?? 9) < 0.46, String(loss));
	const graph = await readModel(MODEL);
	const merged = mergeAdapter(graph, await readPeft(join(dir, "adapter")));
	const engine = await createEngine(encodeModel(merged.graph));
	t.teardown(() => engine.dispose());
	const { input, label } = batch(3);
	const { logits } = await engine.run({ input } as never);
	let right = 0;
	for (let i = 0; i < 32; i++) {
		const row = Array.from(logits?.data.slice(4 * i, 4 * i + 4) ?? [], Number);
		if (row.indexOf(Math.max(...row)) === Number(label?.data[i])) right++;
	}
	t.true(right >= 28, String(right));
});
