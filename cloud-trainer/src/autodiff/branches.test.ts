import {
	emptyGraph,
	floats,
	type Graph,
	GraphBuilder,
	type Node,
} from "@wattvox/onnx";
import test from "ava";
import { differentiate } from "./differentiate.ts";
import { gradientsOf } from "./gradients-of.ts";

/** sum(x) > 0 ? x^2 : exp(x), as torch.jit.script and torch.cond export it. */
function choice(): Graph {
	const b = new GraphBuilder();
	const x = b.input("x", "float32", [2]);
	const cond = b.op("Greater", [b.sum(x), b.scalar(0)]);
	const branch = (op: string, inputs: string[]) => ({
		kind: "graph" as const,
		value: {
			...emptyGraph(op),
			nodes: [
				{ op, domain: "", name: "", inputs, outputs: ["inner"], attrs: {} },
			],
			outputs: [{ name: "inner", dtype: "float32" as const, shape: undefined }],
		},
	});
	const node: Node = {
		op: "If",
		domain: "",
		name: "choice",
		inputs: [cond.name],
		outputs: ["y"],
		attrs: {
			then_branch: branch("Mul", ["x", "x"]),
			else_branch: branch("Exp", ["x"]),
		},
	};
	b.graph.nodes.push(node);
	b.graph.outputs = [{ name: "y", dtype: "float32", shape: undefined }];
	return b.graph;
}

test("at a point the gradient of an If is that of the branch taken there", async (t) => {
	for (const [at, wanted] of [
		[
			[3, -1],
			[6, -2],
		],
		[
			[-3, 1],
			[Math.exp(-3), Math.E],
		],
	] as const) {
		const { gradients } = await gradientsOf(choice(), {
			of: "y",
			wrt: ["x"],
			feeds: { x: floats([...at]) },
		});
		const g = gradients.get("x")?.data ?? [];
		wanted.forEach((w, i) => {
			t.true(Math.abs(Number(g[i]) - w) < 1e-6, `${g[i]}, not ${w}`);
		});
	}
});

test("in training, where no input is known, it is refused by name", (t) => {
	t.throws(() => differentiate(choice(), "y", ["x"]), {
		code: "E_OP_UNSUPPORTED",
		message: /If \(node choice, opset \d+\): which branch/,
	});
});
