import { emptyGraph, GraphBuilder, type Node, type Value } from "@wattvox/onnx";
import test from "ava";
import { differentiate } from "./index.ts";

test("names that the graph lacks are E_MODEL", (t) => {
	const b = new GraphBuilder();
	const y = b.op("Neg", [b.input("x", "float32", [1])]);
	t.throws(() => differentiate(b.graph, "ghost", ["x"]), {
		code: "E_MODEL",
		message: /ghost/,
	});
	t.throws(() => differentiate(b.graph, y.name, ["ghost"]), {
		code: "E_MODEL",
		message: /ghost/,
	});
});

/** A node behind which the gradient ends, whose name is `stop`. */
function stops(
	build: (b: GraphBuilder, x: Value) => Value,
	opset = 17,
): () => void {
	const b = new GraphBuilder(emptyGraph("g", opset));
	const x = b.input("x", "float32", [2, 3]);
	const y = build(b, x);
	return () => differentiate(b.graph, y.name, ["x"]);
}

/** Names the node that makes a value. */
function named(b: GraphBuilder, value: Value): Value {
	const node = b.graph.nodes.find((n) => n.outputs.includes(value.name));
	if (node) node.name = "stop";
	return value;
}

const REFUSED: [string, RegExp, (b: GraphBuilder, x: Value) => Value][] = [
	[
		"an operator without a rule",
		/Shrinkage \(node stop, opset 17\)/,
		(b, x) => {
			b.graph.nodes.push({
				op: "Shrinkage",
				domain: "",
				name: "stop",
				inputs: [x.name],
				outputs: ["shrunk"],
				attrs: {},
			});
			b.graph.valueInfo.set("shrunk", { dtype: "float32", shape: [2, 3] });
			return { name: "shrunk", dtype: "float32", shape: [2, 3] };
		},
	],
	[
		"an operator of another domain",
		/com\.microsoft\.FusedMatMul \(node stop, opset 1\)/,
		(b, x) =>
			named(
				b,
				b.op(
					"FusedMatMul",
					[x, b.input("w", "float32", [3, 1])],
					{},
					"com.microsoft",
				),
			),
	],
	[
		"a slice with computed axes",
		/axes/,
		(b, x) =>
			b.op("Slice", [x, b.ints([0]), b.ints([3]), b.input("a", "int64", [1])]),
	],
	[
		"LayerNormalization's mean",
		/LayerNormalization/,
		(b, x) =>
			b.ops(
				"LayerNormalization",
				[x, b.input("g", "float32", [3])],
				3,
			)[1] as Value,
	],
	[
		"sums in float64",
		/float64/,
		(b, x) => {
			const y = b.cast(x, "float64");
			return b.cast(b.add(y, y), "float32");
		},
	],
];

for (const [what, message, build] of REFUSED)
	test(`refused by name: ${what}`, (t) => {
		t.throws(stops(build), { code: "E_OP_UNSUPPORTED", message });
	});

test("opsets older than the rules' own nodes are refused", (t) => {
	t.throws(
		stops((b, x) => b.op("Neg", [x]), 12),
		{
			code: "E_OP_UNSUPPORTED",
			message: /opset 12/,
		},
	);
});

test("a gradient that would flow into an If's inner graph is refused, one that passes by is not", (t) => {
	const branch = (name: string, value: string) => ({
		kind: "graph" as const,
		value: {
			...emptyGraph(name),
			outputs: [
				{ name: `${name}.out`, dtype: "float32" as const, shape: [2, 3] },
			],
			nodes: [
				{
					op: "Neg",
					domain: "",
					name: "",
					inputs: [value],
					outputs: [`${name}.out`],
					attrs: {},
				},
			],
		},
	});
	const graph = (captured: string) => (b: GraphBuilder, x: Value) => {
		b.input("other", "float32", [2, 3]);
		const cond = b.input("cond", "bool", []);
		const node: Node = {
			op: "If",
			domain: "",
			name: "choice",
			inputs: [cond.name],
			outputs: ["chosen"],
			attrs: {
				then_branch: branch("a", captured),
				else_branch: branch("b", "other"),
			},
		};
		b.graph.nodes.push(node);
		b.graph.valueInfo.set("chosen", { dtype: "float32", shape: [2, 3] });
		b.graph.nodes.push({
			op: "Add",
			domain: "",
			name: "",
			inputs: ["chosen", x.name],
			outputs: ["y"],
			attrs: {},
		});
		return { name: "y", dtype: "float32", shape: [2, 3] } as Value;
	};
	t.throws(stops(graph("x")), {
		code: "E_OP_UNSUPPORTED",
		message: /If \(node choice/,
	});
	t.notThrows(stops(graph("other")));
});
