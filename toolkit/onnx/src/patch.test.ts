import test from "ava";
import {
	decodeModel,
	emptyGraph,
	encodeModel,
	floats,
	type Graph,
	halveWeights,
	loraKey,
	mergeLora,
	savedKey,
	type Tensor,
	widenWeights,
} from "./index.ts";
import { mergeLoraBytes, weightChanges } from "./patch.ts";

/** Numbers that half precision rounds. */
const matrix = (rows: number, cols: number, seed: number): Tensor =>
	floats(
		Array.from({ length: rows * cols }, (_, i) => Math.sin(seed + i)),
		[rows, cols],
	);

/** y = x W1 W2 W3; W1 and W2 are large enough to be halved, W3 is not. */
function model(): Graph {
	const node = (input: string, weight: string, output: string) => ({
		...{ op: "MatMul", domain: "", name: output, attrs: {} },
		...{ inputs: [input, weight], outputs: [output] },
	});
	return {
		...emptyGraph("g"),
		opsets: { "": 17 },
		inputs: [{ name: "x", dtype: "float32", shape: ["N", 12] }],
		outputs: [{ name: "y", dtype: "float32", shape: ["N", 3] }],
		nodes: [
			node("x", "W1", "h1"),
			node("h1", "W2", "h2"),
			node("h2", "W3", "y"),
		],
		initializers: new Map([
			["W1", matrix(12, 20, 1)],
			["W2", matrix(20, 5, 2)],
			["W3", matrix(5, 3, 3)],
		]),
		metadata: { made: "here" },
	};
}

const adapter = (shapes: Record<string, [number, number]>, r = 2) =>
	new Map(
		Object.entries(shapes).flatMap(([name, [rows, cols]], i) => [
			[loraKey(name, "A"), matrix(r, rows, 10 + i)],
			[loraKey(name, "B"), matrix(cols, r, 20 + i)],
		]),
	);

test("merging into bytes gives what merging into the graph gives; halves are widened where it merges", (t) => {
	const pairs = adapter({ W1: [12, 20], W3: [5, 3], W9: [4, 4] });
	const halved = decodeModel(encodeModel(halveWeights(model())));
	const { model: bytes, merged } = mergeLoraBytes(
		encodeModel(halved),
		weightChanges(pairs),
		0.5,
	);
	t.deepEqual(merged.toSorted(), ["W1", "W3"]);
	t.is(bytes.byteLength, bytes.buffer.byteLength, "it can be moved");
	const found = decodeModel(bytes);
	const want = mergeLora(widenWeights(halved), pairs, 0.5).graph;
	t.deepEqual([...found.initializers.keys()].toSorted(), [
		"W1",
		"W2.f16",
		"W3",
	]);
	t.is(found.nodes.filter((n) => n.op === "Cast").length, 1, "the other stays");
	const { nodes, initializers, ...rest } = widenWeights(found);
	t.deepEqual(
		new Map([...initializers].toSorted()),
		new Map([...want.initializers].toSorted()),
	);
	t.deepEqual(nodes, want.nodes);
	t.like(rest, {
		inputs: want.inputs,
		outputs: want.outputs,
		metadata: { made: "here" },
	});
});

test("an adapter for other weights leaves the bytes as they are", (t) => {
	const bytes = encodeModel(model());
	const result = mergeLoraBytes(
		bytes,
		weightChanges(adapter({ W9: [4, 4] })),
		1,
	);
	t.is(result.model, bytes);
	t.deepEqual(result.merged, []);
});

test("what cannot be merged is E_MODEL", (t) => {
	const bytes = encodeModel(model());
	const fits = weightChanges(adapter({ W1: [12, 20] }));
	t.throws(
		() => mergeLoraBytes(bytes, weightChanges(adapter({ W1: [20, 12] })), 1),
		{
			code: "E_MODEL",
			message: /adapter of W1/,
		},
	);
	for (const end of [1, 40, bytes.length - 1])
		t.throws(() => mergeLoraBytes(bytes.subarray(0, end), fits, 1), {
			code: "E_MODEL",
		});
	t.throws(() => mergeLoraBytes(new Uint8Array(100).fill(0xff), fits, 1), {
		code: "E_MODEL",
	});
	const whole = model();
	whole.initializers.set("W1", {
		dtype: "int64",
		dims: [12, 20],
		data: new BigInt64Array(240),
	});
	t.throws(() => mergeLoraBytes(encodeModel(whole), fits, 1), {
		code: "E_MODEL",
		message: /W1 is not kept/,
	});
});

test("a weight that the adapter brings whole takes the place of the model's, halved or not", (t) => {
	const tensors = new Map([
		[savedKey("W2"), matrix(20, 5, 30)],
		[savedKey("W3"), matrix(5, 3, 31)],
	]);
	const halved = decodeModel(encodeModel(halveWeights(model())));
	const { model: bytes, merged } = mergeLoraBytes(
		encodeModel(halved),
		weightChanges(tensors),
		0.5,
	);
	t.deepEqual(merged.toSorted(), ["W2", "W3"]);
	const { initializers, nodes } = decodeModel(bytes);
	t.deepEqual(initializers.get("W2"), matrix(20, 5, 30));
	t.deepEqual(initializers.get("W3"), matrix(5, 3, 31));
	t.is(nodes.filter((n) => n.op === "Cast").length, 1, "W1's alone");
});
