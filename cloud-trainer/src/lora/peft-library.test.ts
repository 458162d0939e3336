import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import {
	decodeSafetensors,
	encodeModel,
	type Graph,
	readModel,
	type Tensor,
} from "@wattvox/onnx";
import { createEngine, type Feeds } from "@wattvox/runtime";
import test from "ava";
import { attachLora, mergeAdapter } from "./attach.ts";
import { readPeft } from "./peft.ts";

// Adapters that the PEFT library wrote and the outputs that it computes with them:
// scripts/torch/adapters.py.
const DIR = fileURLToPath(new URL("../../fixtures/peft", import.meta.url));

const tensorsOf = async (...path: string[]) =>
	decodeSafetensors(await readFile(join(DIR, ...path))).tensors;

async function outputOf(graph: Graph, ids: Tensor): Promise<Float32Array> {
	const engine = await createEngine({ given: encodeModel(graph) });
	try {
		return (await engine.run({ ids } as Feeds)).y?.data as Float32Array;
	} finally {
		await engine.dispose();
	}
}

const apart = (a: Float32Array, b: Float32Array) =>
	Math.max(...a.map((v, i) => Math.abs(v - (b[i] ?? Number.NaN))));

for (const [name, modules] of [
	["plain", 8],
	["rslora", 3],
	["regex", 4],
	["transposed", 2],
	["grouped", 1],
	["saved", 2],
] as const)
	test.serial(
		`PEFT's adapter "${name}": beside the weights and merged, the outputs are PEFT's`,
		async (t) => {
			const base = await readModel(join(DIR, "model.onnx"));
			const inputs = await tensorsOf("inputs.safetensors");
			const ids = inputs.get("ids") as Tensor;
			const before = inputs.get("y")?.data as Float32Array;
			const wanted = (await tensorsOf(name, "y.safetensors")).get("y")
				?.data as Float32Array;
			t.true(apart(before, wanted) > 1e-3);
			t.true(apart(await outputOf(base, ids), before) < 1e-6);
			const adapter = await readPeft(join(DIR, name));
			const attached = attachLora(base, adapter);
			t.is(attached.sites.length, modules);
			const beside = await outputOf(attached.graph, ids);
			t.true(apart(beside, wanted) < 1e-6, `${apart(beside, wanted)}`);
			const merged = await outputOf(mergeAdapter(base, adapter).graph, ids);
			t.true(apart(merged, wanted) < 1e-6, `${apart(merged, wanted)}`);
		},
	);

test("what plain LoRA has not is refused by name", async (t) => {
	for (const [name, what] of [
		["dora", /use_dora/],
		["biased", /bias "lora_only"/],
	] as const)
		await t.throwsAsync(readPeft(join(DIR, name)), {
			code: "E_FILE_FORMAT",
			message: what,
		});
});
