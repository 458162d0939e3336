import type { Graph, Node } from "@wattvox/onnx";
import { readsOf } from "./prune.ts";

/**
 * Orders a graph's nodes so that ONNX Runtime makes each parameter's gradient as soon as it can.
 *
 * ONNX Runtime does not keep the order of the file. It walks back from the nodes that no other node
 * reads, the last of the file first, and runs all that this one needs before it looks at the next
 * (GraphViewer, ReverseDFSFrom). As differentiation leaves them, the last is the gradient of the first
 * layer: the whole backward half would run, and only then the products for all other weights, whose
 * operands, an activation and a cotangent for each, would have been kept till then. So these nodes go
 * to the end, the one made earliest last of all.
 */
export function gradientsEarly(graph: Graph): Graph {
	const read = new Set(graph.nodes.flatMap(readsOf));
	const inner: Node[] = [];
	const leaves: Node[] = [];
	for (const node of graph.nodes)
		(node.outputs.some((o) => read.has(o)) ? inner : leaves).push(node);
	return { ...graph, nodes: [...inner, ...leaves.reverse()] };
}
