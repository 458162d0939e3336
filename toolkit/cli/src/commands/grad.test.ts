import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { temporaryDir } from "@wattvox/bundle/testing";
import {
	decodeSafetensors,
	emptyGraph,
	encodeSafetensors,
	floats,
	GraphBuilder,
	int64s,
	type Tensor,
	writeModel,
} from "@wattvox/onnx";
import test, { type ExecutionContext } from "ava";
import { cli } from "../testing.ts";

/** y = x w (B rows), and a step of it; `i` is an integer input that gathers nothing that matters. */
async function files(t: ExecutionContext, fed: Record<string, Tensor> = {}) {
	const dir = await temporaryDir(t);
	const b = new GraphBuilder(emptyGraph("g", 18));
	const x = b.input("x", "float32", ["B", 2]);
	const i = b.input("i", "int64", ["B"]);
	const w = b.weight("layer.w", floats([1, 2, 3, 4, 5, 6], [2, 3]));
	const idle = b.weight("idle", floats([7], [1]));
	b.output(b.matmul(x, w), "y");
	b.output(b.mul(b.op("Floor", [x]), idle), "steps");
	// An operator that has no rule at all.
	b.input("square", "float32", [2, 2]);
	b.graph.nodes.push({
		op: "Det",
		domain: "",
		name: "the_det",
		inputs: ["square"],
		outputs: ["det"],
		attrs: {},
	});
	b.graph.outputs.push({ name: "det", dtype: "float32", shape: [] });
	const axes = b.input("axes", "int64", [1]);
	const border = b.op("Pad", [x, b.ints([1, 0]), undefined, axes], {
		mode: "reflect",
	});
	b.output(b.assume(border, ["B", "W"]), "mirrored");
	// What lies behind a value that neither inference nor the file knows: x of the rows that differ.
	b.graph.nodes.push(
		{
			op: "Unique",
			domain: "",
			name: "",
			inputs: ["i"],
			outputs: ["unique", "rows"],
			attrs: {},
		},
		{
			op: "Gather",
			domain: "",
			name: "",
			inputs: ["x", "rows"],
			outputs: ["chosen"],
			attrs: {},
		},
	);
	b.graph.outputs.push({ name: "chosen", dtype: "float32", shape: ["R", 2] });
	b.output(b.add(i, i), "twice");
	const path = (name: string) => join(dir, name);
	await writeModel(path("m.onnx"), b.graph);
	const feeds: Record<string, Tensor> = {
		x: floats([1, -1, 0.5, 2, 3, 0], [3, 2]),
		i: int64s([0, 1, 2]),
		square: floats([1, 0, 0, 1], [2, 2]),
		axes: int64s([1]),
		...fed,
	};
	await writeFile(
		path("f.safetensors"),
		encodeSafetensors(new Map(Object.entries(feeds))),
	);
	const ask = (of: string, wrt: string, ...more: string[]) =>
		cli([
			...["grad", "--model", path("m.onnx"), "--feeds", path("f.safetensors")],
			...["--of", of, "--wrt", wrt, "--out", path("g.safetensors"), ...more],
		]);
	const gradients = async () =>
		decodeSafetensors(await readFile(path("g.safetensors"))).tensors;
	return { ask, gradients };
}

test("gradients of an output's sum for an input and an initialiser", async (t) => {
	const { ask, gradients } = await files(t);
	const { code, json } = await ask("y", "x,layer.w", "--json");
	t.is(code, 0);
	t.like(json, {
		of: "y",
		value: 1 * 6 - 15 + 0.5 * 6 + 2 * 15 + 3 * 6,
		gradients: [
			{ name: "x", dims: [3, 2], independent: false },
			{ name: "layer.w", dims: [2, 3] },
		],
	});
	const found = await gradients();
	t.deepEqual(found.get("x"), floats([6, 15, 6, 15, 6, 15], [3, 2]));
	t.deepEqual(found.get("layer.w"), floats([4.5, 4.5, 4.5, 1, 1, 1], [2, 3]));
});

test("what an output does not depend on, or only in steps, has zeros and is called so", async (t) => {
	const { ask, gradients } = await files(t);
	const { code, out } = await ask("steps", "x,layer.w,idle");
	t.is(code, 0);
	t.regex(out, /x +\[3, 2\] +0\.0+ +zero: steps does not depend on it/);
	t.regex(out, /idle +\[1\] +5\.0+ *$/m);
	const found = await gradients();
	t.deepEqual(found.get("x"), floats([0, 0, 0, 0, 0, 0], [3, 2]));
	t.deepEqual(found.get("layer.w")?.dims, [2, 3]);
});

test("types that nothing declares are found by running the model", async (t) => {
	const { ask, gradients } = await files(t, { i: int64s([5, 5, 7]) });
	const { code, err } = await ask("chosen", "x");
	t.is(code, 0, err);
	t.deepEqual((await gradients()).get("x"), floats([1, 1, 0, 0, 1, 1], [3, 2]));
});

test("integers that are fed can say which axes a rule works along", async (t) => {
	const { ask, gradients } = await files(t);
	const { code, err } = await ask("mirrored", "x");
	t.is(code, 0, err);
	t.deepEqual((await gradients()).get("x"), floats([1, 2, 1, 2, 1, 2], [3, 2]));
});

test("what cannot be answered is refused by name, with exit code 3", async (t) => {
	const { ask } = await files(t);
	for (const [of, wrt, message] of [
		["ghost", "x", /E_MODEL: the model has no value ghost; its outputs: y, /],
		["y", "w", /E_MODEL: the model has no input or initialiser w; .*layer\.w/],
		["y", "i", /E_MODEL: i is int64: gradients are for float32/],
		["twice", "x", /E_MODEL: twice is int64/],
		["det", "square", /E_OP_UNSUPPORTED: .*Det \(node the_det, opset 18\)/],
	] as const) {
		const { code, err } = await ask(of, wrt);
		t.is(code, 3, err);
		t.regex(err, message);
	}
});

test("feeds that do not fit are refused by name", async (t) => {
	for (const [feeds, message] of [
		[{ x: floats([1, 2, 3], [1, 3]) }, /the feed x is float32 \[1,3\]/],
		[{ i: int64s([1, 2]) }, /the feed i is int64 \[2\].*\[B\]/],
		[{ ghost: floats([1]) }, /no input ghost to feed; its inputs: x, i, sq/],
	] as const) {
		const { ask } = await files(t, { ...feeds });
		const { code, err } = await ask("y", "x");
		t.is(code, 3);
		t.regex(err, message);
	}
});
