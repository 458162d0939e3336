import { inferTypes } from "../infer.ts";
import { widenWeights } from "../precision.ts";
import { int64s, scalar } from "../tensor.ts";
import {
	type Attr,
	floatAttr,
	type Graph,
	intAttr,
	type Node,
	type Tensor,
} from "../types.ts";
import type { TensorrtVersion } from "./operators.ts";

/**
 * A graph as TensorRT's builder is given it: weights as float32 initialisers under their own names, so that
 * they can be refitted by these names, and for 8.5 each LayerNormalization spelled out. The graph computes
 * what it did; names of weights, inputs and outputs stay.
 */
export function toTensorrt(graph: Graph, version: TensorrtVersion): Graph {
	const wide = widenWeights(graph);
	return version === "8.5" ? spellOutNorms(wide) : wide;
}

/**
 * Replaces LayerNormalization by what it stands for (ONNX operator specification, LayerNormalization-17):
 *
 *     d = x - mean(x);  y = d / sqrt(mean(d * d) + epsilon) * scale + bias
 *
 * A node whose mean or deviation is asked for is left as it is, as is one whose axes are not known.
 */
export function spellOutNorms(graph: Graph): Graph {
	if (!graph.nodes.some((n) => n.op === "LayerNormalization")) return graph;
	const types = inferTypes(graph);
	const initializers = new Map(graph.initializers);
	const nodes = graph.nodes.flatMap((node) => {
		if (node.op !== "LayerNormalization" || node.outputs.slice(1).some(Boolean))
			return [node];
		const rank = types.get(node.inputs[0] ?? "")?.shape?.length;
		const axis = intAttr(node, "axis", -1);
		if (axis >= 0 && rank === undefined) return [node];
		const first = axis < 0 ? axis : axis - (rank as number);
		const axes = Array.from({ length: -first }, (_, i) => first + i);
		return spellOut(node, axes, graph.opsets[""] ?? 0, initializers);
	});
	return { ...graph, nodes, initializers };
}

function spellOut(
	node: Node,
	axes: number[],
	opset: number,
	initializers: Map<string, Tensor>,
): Node[] {
	const [x = "", scale = "", bias = ""] = node.inputs;
	const result = node.outputs[0] ?? "";
	const prefix = `${result}.norm`;
	const made: Node[] = [];
	const add = (
		op: string,
		inputs: string[],
		as: string,
		attrs: Record<string, Attr> = {},
	): string => {
		const name = `${prefix}.${as}`;
		made.push({ op, domain: "", name, inputs, outputs: [name], attrs });
		return name;
	};
	const constant = (as: string, tensor: Tensor): string => {
		initializers.set(`${prefix}.${as}`, tensor);
		return `${prefix}.${as}`;
	};
	const mean = (of: string, as: string): string => {
		const keepdims: Attr = { kind: "int", value: 1 };
		// ReduceMean takes its axes as an attribute before opset 18.
		return opset >= 18
			? add("ReduceMean", [of, constant(`${as}.axes`, int64s(axes))], as, {
					keepdims,
				})
			: add("ReduceMean", [of], as, {
					keepdims,
					axes: { kind: "ints", value: axes },
				});
	};
	const deviation = add("Sub", [x, mean(x, "mean")], "deviation");
	const square = add("Mul", [deviation, deviation], "square");
	const epsilon = constant("epsilon", scalar(floatAttr(node, "epsilon", 1e-5)));
	const variance = add("Add", [mean(square, "variance"), epsilon], "lifted");
	const spread = add("Sqrt", [variance], "spread");
	let y = add("Div", [deviation, spread], "unit");
	y = add("Mul", [y, scale], "scaled");
	if (bias) y = add("Add", [y, bias], "moved");
	const last = made.at(-1) as Node;
	last.outputs = [result];
	return made;
}
