import test from "ava";
import { emptyGraph, GraphBuilder } from "./builder.ts";
import { decodeModel, encodeModel } from "./codec.ts";
import { inferTypes } from "./infer.ts";
import { foldBranches, hoistConstants, isIf } from "./simplify.ts";
import { floats, scalar } from "./tensor.ts";
import type { Graph, Node } from "./types.ts";

const node = (
	op: string,
	inputs: string[],
	outputs: string[],
	attrs: Node["attrs"] = {},
): Node => ({ op, domain: "", name: outputs.join(), inputs, outputs, attrs });

const branch = (nodes: Node[], out: string): Graph => ({
	...emptyGraph(out),
	nodes,
	outputs: [{ name: out, dtype: "float32", shape: undefined }],
});

/** Adds an If over two branches, as a value of unknown shape. */
function choose(b: GraphBuilder, cond: string, then: Graph, other: Graph) {
	b.graph.nodes.push(
		node("If", [cond], ["chosen"], {
			then_branch: { kind: "graph", value: then },
			else_branch: { kind: "graph", value: other },
		}),
	);
	b.graph.outputs = [{ name: "chosen", dtype: "float32", shape: undefined }];
	return b.graph;
}

/** `x.squeeze(1)` of a size that torch does not know when it exports. */
function squeeze(size: number): Graph {
	const b = new GraphBuilder();
	const x = b.input("x", "float32", ["N", size, 3]);
	const along = b.op("Gather", [b.op("Shape", [x]), b.ints([1])]);
	const cond = b.op("Equal", [along, b.ints([1])]);
	const axes = b.ints([1]).name;
	return choose(
		b,
		cond.name,
		branch([node("Squeeze", ["x", axes], ["inner"])], "inner"),
		branch([node("Identity", ["x"], ["inner"])], "inner"),
	);
}

test("an If over a size becomes the branch it takes, with that branch's shape", (t) => {
	for (const [size, op, shape] of [
		[1, "Squeeze", ["N", 3]],
		[2, "Identity", ["N", 2, 3]],
	] as const) {
		const folded = foldBranches(squeeze(size));
		t.is(folded.nodes.at(-1)?.op, op);
		t.deepEqual(inferTypes(folded).get("chosen")?.shape, [...shape]);
	}
});

test("comparisons and logic of sizes are followed", (t) => {
	for (const [op, taken] of [
		["Greater", "then"],
		["LessOrEqual", "else"],
	] as const) {
		const b = new GraphBuilder();
		const x = b.input("x", "float32", [4, 2]);
		const n = b.op("Gather", [b.op("Shape", [x]), b.ints([0])]);
		const at = b.op("Cast", [b.op(op, [n, b.ints([3])])], {
			to: { kind: "int", value: 9 },
		});
		const cond = b.op("Not", [b.op("Not", [b.op("And", [at, at])])]);
		const folded = foldBranches(
			choose(
				b,
				cond.name,
				branch([node("Neg", ["x"], ["then"])], "then"),
				branch([node("Exp", ["x"], ["else"])], "else"),
			),
		);
		t.is(folded.nodes.at(-1)?.op, taken === "then" ? "Neg" : "Exp");
	}
});

test("inner names that are taken, initialisers, inner Ifs and outputs from outside", (t) => {
	const b = new GraphBuilder();
	b.input("x", "float32", [2]);
	const yes = b.constant({ dtype: "bool", dims: [], data: Uint8Array.of(1) });
	b.graph.nodes.push(node("Neg", ["x"], ["busy"]));
	const deep = branch([node("Mul", ["busy", "w"], ["out"])], "out");
	const then = branch(
		[
			node("Exp", ["x"], ["busy"]),
			node("If", [yes.name], ["inner"], {
				then_branch: { kind: "graph", value: deep },
				else_branch: { kind: "graph", value: branch([], "x") },
			}),
		],
		"inner",
	);
	then.initializers.set("w", scalar(3));
	const folded = foldBranches(choose(b, yes.name, then, branch([], "x")));
	t.false(folded.nodes.some(isIf));
	const [exp, mul] = folded.nodes.slice(-2) as [Node, Node];
	t.deepEqual([exp.op, mul.op, mul.outputs], ["Exp", "Mul", ["chosen"]]);
	t.not(exp.outputs[0], "busy");
	t.is(mul.inputs[0], exp.outputs[0]);
	t.is(folded.initializers.get(mul.inputs[1] as string)?.data[0], 3);
	// A branch that only passes on what lies outside.
	const passed = foldBranches(
		choose(new GraphBuilder(b.graph), yes.name, branch([], "x"), then),
	);
	t.deepEqual(passed.nodes.at(-1)?.inputs, ["x"]);
	t.is(passed.nodes.at(-1)?.op, "Identity");
	t.notThrows(() => decodeModel(encodeModel(folded)));
});

test("a condition that only a run can tell stays, unless it is given", (t) => {
	const b = new GraphBuilder();
	const x = b.input("x", "float32", [2]);
	const cond = b.op("Greater", [b.sum(x), b.scalar(0)]);
	const graph = choose(
		b,
		cond.name,
		branch([node("Neg", ["x"], ["a"])], "a"),
		branch([node("Exp", ["x"], ["a"])], "a"),
	);
	t.is(foldBranches(graph), graph);
	const given = new Map([[cond.name, false]]);
	t.is(foldBranches(graph, given).nodes.at(-1)?.op, "Exp");
});

test("constants become initialisers; a graph without any is returned as it is", (t) => {
	const g = emptyGraph("g");
	g.nodes.push(
		node("Constant", [], ["c"], {
			value: { kind: "tensor", value: floats([1, 2]) },
		}),
	);
	const hoisted = hoistConstants(g);
	t.deepEqual(hoisted.nodes, []);
	t.deepEqual([...hoisted.initializers.keys()], ["c"]);
	t.is(hoistConstants(hoisted), hoisted);
	t.is(g.nodes.length, 1);
});
