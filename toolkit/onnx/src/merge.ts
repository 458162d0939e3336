import { emptyGraph } from "./builder.ts";
import { changedWeight, weightChanges } from "./lora.ts";
import { castFloat } from "./tensor.ts";
import type { Graph, Tensor } from "./types.ts";

/**
 * Adds scale * (B A)^T to each adapted MatMul weight [in, out] of a graph, and puts weights that the
 * adapter brings whole in place of the graph's, in new arrays: the given graph's tensors stay as they
 * are. Changes of weights that this graph does not hold are left out, so one adapter serves the text and
 * the decoder graph.
 * @returns the merged graph and the names of the weights that changed
 * @throws WattvoxError E_MODEL when a change's shape does not fit its weight
 */
export function mergeLora(
	graph: Graph,
	adapter: ReadonlyMap<string, Tensor>,
	scale: number,
): { graph: Graph; merged: string[] } {
	const initializers = new Map(graph.initializers);
	const merged: string[] = [];
	for (const [name, change] of weightChanges(adapter)) {
		const base = initializers.get(name);
		if (!base) continue;
		const w = castFloat(base, "float32");
		initializers.set(name, changedWeight(name, w, change, scale));
		merged.push(name);
	}
	return { graph: { ...graph, initializers }, merged };
}

/** {@link mergeLora} on weights that stand alone. */
export const mergeIntoWeights = (
	weights: ReadonlyMap<string, Tensor>,
	adapter: ReadonlyMap<string, Tensor>,
	scale: number,
): Map<string, Tensor> =>
	mergeLora(
		{ ...emptyGraph("weights"), initializers: new Map(weights) },
		adapter,
		scale,
	).graph.initializers;
