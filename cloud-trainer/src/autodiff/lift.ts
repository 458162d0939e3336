import type { Graph, Tensor } from "@wattvox/onnx";

/**
 * Turns the named initialisers into graph inputs, so that they can be fed: trained, or moved by a
 * gradient check. Names that are no initialisers are left out.
 */
export function liftParameters(
	graph: Graph,
	names: readonly string[],
): { graph: Graph; values: Map<string, Tensor> } {
	const initializers = new Map(graph.initializers);
	const inputs = [...graph.inputs];
	const values = new Map<string, Tensor>();
	for (const name of names) {
		const tensor = initializers.get(name);
		if (!tensor) continue;
		initializers.delete(name);
		inputs.push({ name, dtype: tensor.dtype, shape: tensor.dims });
		values.set(name, tensor);
	}
	return { graph: { ...graph, inputs, initializers }, values };
}
