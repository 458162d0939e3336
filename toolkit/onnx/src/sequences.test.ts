import test from "ava";
import * as ort from "onnxruntime-node";
import { emptyGraph } from "./builder.ts";
import { encodeModel } from "./codec.ts";
import { withoutSequences } from "./sequences.ts";
import { floats, int64s, scalar } from "./tensor.ts";
import type { Dim, Graph, Node, Tensor } from "./types.ts";

const node = (
	op: string,
	inputs: string[],
	out: string,
	attrs: Record<string, number> = {},
): Node => ({
	op,
	domain: "",
	name: out,
	inputs,
	outputs: [out],
	attrs: Object.fromEntries(
		Object.entries(attrs).map(([k, value]) => [k, { kind: "int", value }]),
	),
});

const whole = (n: number): Tensor => ({
	...scalar(0),
	dtype: "int64",
	data: BigInt64Array.of(BigInt(n)),
});

/** A graph over x [rows, 3] that ends in y. */
function graphOf(rows: Dim, nodes: Node[], rank = 2): Graph {
	return {
		...emptyGraph("sequences", 17),
		nodes,
		inputs: [{ name: "x", dtype: "float32", shape: [rows, 3] }],
		outputs: [
			{
				name: "y",
				dtype: "float32",
				shape: Array.from({ length: rank }, (_, i) => `y${i}`),
			},
		],
		initializers: new Map([
			["0", whole(0)],
			["1", whole(1)],
			["2", whole(2)],
			["-1", whole(-1)],
			["sizes", int64s([1, 4])],
		]),
	};
}

async function run(graph: Graph): Promise<{ dims: number[]; data: number[] }> {
	const session = await ort.InferenceSession.create(encodeModel(graph), {
		logSeverityLevel: 3,
	});
	try {
		const x = floats(
			Float32Array.from({ length: 15 }, (_, i) => i),
			[5, 3],
		);
		const { y } = await session.run({
			x: new ort.Tensor("float32", x.data as Float32Array, x.dims),
		});
		return {
			dims: [...(y?.dims ?? [])],
			data: Array.from(y?.data as Float32Array),
		};
	} finally {
		await session.release();
	}
}

const CASES: Record<string, [nodes: Node[], rank?: number]> = {
	"parts of one size, the last smaller": [
		[
			node("SplitToSequence", ["x", "2"], "s"),
			node("SequenceAt", ["s", "-1"], "last"),
			node("SequenceAt", ["s", "0"], "first"),
			node("Concat", ["last", "first"], "y", { axis: 0 }),
		],
	],
	"listed sizes": [
		[
			node("SplitToSequence", ["x", "sizes"], "s"),
			node("SequenceAt", ["s", "1"], "y"),
		],
	],
	"rows without their axis, along another": [
		[
			node("SplitToSequence", ["x"], "s", { axis: -1, keepdims: 0 }),
			node("SequenceAt", ["s", "2"], "a"),
			node("SequenceAt", ["s", "0"], "b"),
			node("Sub", ["a", "b"], "y"),
		],
		1,
	],
	"a list that grows and shrinks": [
		[
			node("SequenceEmpty", [], "none"),
			node("SequenceInsert", ["none", "x"], "one"),
			node("Neg", ["x"], "z"),
			node("SequenceInsert", ["one", "z", "0"], "two"),
			node("SequenceInsert", ["two", "z"], "three"),
			node("SequenceErase", ["three", "-1"], "again"),
			node("ConcatFromSequence", ["again"], "y", { axis: 1 }),
		],
	],
	"stacked, and counted": [
		[
			node("SplitToSequence", ["x", "1"], "s"),
			node("SequenceLength", ["s"], "n"),
			node("Cast", ["n"], "count", { to: 1 }),
			node("ConcatFromSequence", ["s"], "c", { axis: 0, new_axis: 1 }),
			node("Mul", ["c", "count"], "y"),
		],
		3,
	],
	"split by what another split tells": [
		[
			node("SplitToSequence", ["x", "2"], "s"),
			node("SequenceAt", ["s", "0"], "a"),
			node("SplitToSequence", ["a", "1"], "t"),
			node("SequenceAt", ["t", "1"], "y"),
		],
	],
};

for (const [name, [nodes, rank]] of Object.entries(CASES))
	test(name, async (t) => {
		const graph = graphOf(5, nodes, rank);
		const plain = withoutSequences(graph);
		t.deepEqual(
			plain.nodes.filter((n) => /Sequence/.test(n.op)).map((n) => n.op),
			[],
		);
		t.deepEqual(await run(plain), await run(graph));
	});

test("what is not known stays, beside what is", async (t) => {
	const known = node("SequenceAt", ["s", "0"], "a");
	const open = [
		node("Size", ["x"], "size"),
		node("Cast", ["x"], "whole", { to: 7 }),
		node("ReduceMax", ["whole"], "most", { keepdims: 0 }),
		node("Mod", ["most", "2"], "at"),
		node("SplitToSequence", ["x", "1"], "s"),
		node("SequenceAt", ["s", "at"], "b"),
	];
	const graph = graphOf(5, [...open, known, node("Add", ["a", "b"], "y")]);
	const plain = withoutSequences(graph);
	t.deepEqual(
		plain.nodes.filter((n) => /Sequence/.test(n.op)).map((n) => n.outputs[0]),
		["s", "b"],
	);
	t.deepEqual(await run(plain), await run(graph));
	const symbolic = graphOf("rows", [
		node("SplitToSequence", ["x", "1"], "s"),
		node("SequenceAt", ["s", "1"], "y"),
	]);
	t.is(withoutSequences(symbolic), symbolic);
});
