import type { Graph, Node } from "@wattvox/onnx";

/** Inputs of an operator that hold statistics or settings, not weights. */
const NOT_TRAINED: Readonly<Record<string, readonly number[]>> = {
	BatchNormalization: [3, 4],
	Clip: [1, 2],
	Pad: [2],
	Pow: [1],
	Resize: [1, 2],
	Where: [1, 2],
};

/**
 * The float32 initialisers of a model from elsewhere that training may move: those with more than one
 * element that some node reads as a weight. Exporters keep settings (exponents, masks, scales of
 * Resize) and running statistics as initialisers too; those stay.
 */
export function weightsOf(graph: Graph): string[] {
	const read = new Map<string, boolean>();
	const see = (node: Node) => {
		const kept = node.domain ? [] : (NOT_TRAINED[node.op] ?? []);
		for (const [i, name] of node.inputs.entries())
			read.set(name, (read.get(name) ?? true) && !kept.includes(i));
	};
	for (const node of graph.nodes) see(node);
	return [...graph.initializers]
		.filter(
			([name, t]) =>
				t.dtype === "float32" && t.data.length > 1 && read.get(name) === true,
		)
		.map(([name]) => name);
}
