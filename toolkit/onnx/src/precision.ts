import { HALF_SUFFIX } from "./precision-names.ts";
import { castFloat } from "./tensor.ts";
import { DTYPE_CODE, type Graph, type Node } from "./types.ts";

/** Tensors smaller than this gain nothing from half precision. */
const SMALL = 64;

/**
 * Stores float32 weights as float16 with a Cast behind each: half the bytes, still plain ONNX that any
 * runtime computes in float32 (the CPU provider has no float16 kernels for most operators).
 */
export function halveWeights(graph: Graph): Graph {
	const initializers = new Map(graph.initializers);
	const casts: Node[] = [];
	for (const [name, tensor] of graph.initializers) {
		if (tensor.dtype !== "float32" || tensor.data.length < SMALL) continue;
		initializers.delete(name);
		initializers.set(`${name}${HALF_SUFFIX}`, castFloat(tensor, "float16"));
		casts.push({
			op: "Cast",
			domain: "",
			name: `${name}.widen`,
			inputs: [`${name}${HALF_SUFFIX}`],
			outputs: [name],
			attrs: { to: { kind: "int", value: DTYPE_CODE.float32 } },
		});
	}
	return { ...graph, initializers, nodes: [...casts, ...graph.nodes] };
}

/** Undoes {@link halveWeights}: the weights as float32 initialisers under their own names, rounded to half. */
export function widenWeights(graph: Graph): Graph {
	const initializers = new Map(graph.initializers);
	const nodes = graph.nodes.filter((node) => {
		const [from = "", to = ""] = [node.inputs[0], node.outputs[0]];
		const tensor = initializers.get(from);
		if (
			node.op !== "Cast" ||
			tensor?.dtype !== "float16" ||
			from !== `${to}${HALF_SUFFIX}`
		)
			return true;
		initializers.delete(from);
		initializers.set(to, castFloat(tensor, "float32"));
		return false;
	});
	return { ...graph, initializers, nodes };
}
