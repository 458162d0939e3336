import { WattvoxError } from "@wattvox/core";
import { type Graph, inferTypes, type Node, type Value } from "@wattvox/onnx";

/** Names that a node reads, those of its inner graphs included. */
export function readsOf(node: Node): string[] {
	return [
		...node.inputs.filter(Boolean),
		...Object.values(node.attrs).flatMap((a) =>
			a.kind === "graph"
				? [
						...a.value.outputs.map((v) => v.name),
						...a.value.nodes.flatMap(readsOf),
					]
				: [],
		),
	];
}

/**
 * The part of a graph that makes some of its values, which become the outputs. Inputs and initialisers
 * that it does not need are left out.
 * @throws WattvoxError E_MODEL when a value is not there or its type unknown
 */
export function subgraph(graph: Graph, outputs: readonly string[]): Graph {
	const types = inferTypes(graph);
	const needed = new Set(outputs);
	const nodes: Node[] = [];
	for (const node of [...graph.nodes].reverse()) {
		if (!node.outputs.some((o) => needed.has(o))) continue;
		nodes.push(node);
		for (const name of readsOf(node)) needed.add(name);
	}
	return {
		...graph,
		nodes: nodes.reverse(),
		inputs: graph.inputs.filter((v) => needed.has(v.name)),
		initializers: new Map(
			[...graph.initializers].filter(([name]) => needed.has(name)),
		),
		outputs: outputs.map((name): Value => {
			const type = types.get(name);
			if (!type) throw new WattvoxError("E_MODEL", `no value named ${name}`);
			return { ...type, name };
		}),
	};
}
