import { WattvoxError } from "@wattvox/core";
import {
	constantOf,
	type Graph,
	GraphBuilder,
	inferTypes,
	type Node,
	opKey,
	type Value,
} from "@wattvox/onnx";
import { ruleOf, ZERO_GRADIENT } from "./rules.ts";
import { expandLike, unbroadcast } from "./vjp.ts";

/** A graph that has grown its backward half. */
export interface Differentiated {
	/** Continues the copied graph: add an optimiser, or outputs. */
	builder: GraphBuilder;
	/** Gradients by the name of what was asked for; undefined where the loss does not depend on it. */
	gradients: Map<string, Value | undefined>;
}

/**
 * Reverse-mode differentiation of one output of a graph, in standard ONNX operators. An output that is
 * not a scalar is differentiated as the sum of its elements. The given graph is left as it is.
 * @param of name of the output (any value of the graph)
 * @param wrt names of inputs or initialisers
 * @throws WattvoxError E_OP_UNSUPPORTED naming node, operator and opset; E_MODEL for unknown names
 */
export function differentiate(
	graph: Graph,
	of: string,
	wrt: readonly string[],
): Differentiated {
	const copy: Graph = {
		...graph,
		opsets: { ...graph.opsets },
		inputs: [...graph.inputs],
		outputs: [...graph.outputs],
		nodes: graph.nodes.map((n) => ({ ...n, outputs: [...n.outputs] })),
		initializers: new Map(graph.initializers),
	};
	hoistConstants(copy);
	const b = new GraphBuilder(copy, inferTypes(copy));
	const loss = b.value(of);
	for (const name of wrt) b.value(name);

	const active = activeValues(copy.nodes, wrt);
	const cotangents = new Map<string, Value>([
		[of, expandLike(b, b.scalar(1), loss)],
	]);
	const forward = [...copy.nodes];
	for (const node of forward.reverse()) {
		if (!node.outputs.some((o) => cotangents.has(o))) continue;
		const needs = node.inputs.map((i) => active.has(i));
		if (!needs.includes(true)) continue;
		backward(b, node, needs, cotangents);
	}
	return {
		builder: b,
		gradients: new Map(wrt.map((name) => [name, cotangents.get(name)])),
	};
}

/** Turns Constant nodes into initialisers, where rules and shape inference look for constants. */
function hoistConstants(graph: Graph): void {
	graph.nodes = graph.nodes.filter((node) => {
		const tensor = constantOf(node);
		if (!tensor || !node.outputs[0]) return true;
		graph.initializers.set(node.outputs[0], tensor);
		return false;
	});
}

/** Names of the values that depend on `wrt`. */
function activeValues(
	nodes: readonly Node[],
	wrt: readonly string[],
): Set<string> {
	const active = new Set(wrt);
	for (const node of nodes)
		if (
			!ZERO_GRADIENT.has(opKey(node)) &&
			node.inputs.some((i) => active.has(i))
		)
			for (const o of node.outputs) active.add(o);
	active.delete("");
	return active;
}

function backward(
	b: GraphBuilder,
	node: Node,
	needs: boolean[],
	cotangents: Map<string, Value>,
): void {
	const rule = ruleOf(opKey(node));
	if (!rule)
		throw new WattvoxError(
			"E_OP_UNSUPPORTED",
			`no gradient for ${opKey(node)} (node ${node.name || "unnamed"}, opset ${b.graph.opsets[node.domain] ?? "?"})`,
		);
	const inputs = node.inputs.map((i) => (i ? b.value(i) : undefined));
	const results = rule({
		b,
		node,
		inputs,
		outputs: node.outputs.map((o) => b.value(o)),
		grads: node.outputs.map((o) => cotangents.get(o)),
		needs,
		constant: (i) => b.graph.initializers.get(node.inputs[i] ?? ""),
	});
	node.inputs.forEach((name, i) => {
		const primal = inputs[i];
		const result = results[i];
		if (!needs[i] || !primal || !result) return;
		const g = unbroadcast(b, result, primal);
		const known = cotangents.get(name);
		cotangents.set(name, known ? b.add(known, g) : g);
	});
}
