import { constantOf, inferTypes } from "./infer.ts";
import type { Attr, Graph, Node, ValueType } from "./types.ts";

/** The graph with initialisers in place of Constant nodes, so that constants are looked for in one place. */
export function hoistConstants(graph: Graph): Graph {
	const initializers = new Map(graph.initializers);
	const nodes = graph.nodes.filter((node) => {
		const tensor = constantOf(node);
		if (!tensor || !node.outputs[0]) return true;
		initializers.set(node.outputs[0], tensor);
		return false;
	});
	return nodes.length === graph.nodes.length
		? graph
		: { ...graph, nodes, initializers };
}

/**
 * The graph with the nodes of the chosen branch in place of each If whose condition is a constant,
 * follows from sizes and constants (`squeeze` as torch exports it), or is given.
 * @param given conditions that the caller knows, by the name of the value
 * @throws WattvoxError E_MODEL for a graph that is not valid
 */
export function foldBranches(
	graph: Graph,
	given: ReadonlyMap<string, boolean> = new Map(),
): Graph {
	if (!graph.nodes.some(isIf)) return graph;
	const types = inferTypes(graph);
	const taken = new Set([
		...types.keys(),
		...graph.nodes.flatMap((n) => n.outputs),
	]);
	const initializers = new Map(graph.initializers);
	const valueInfo = new Map(graph.valueInfo);
	let folded = false;
	const nodes = graph.nodes.flatMap((node, i) => {
		const name = node.inputs[0] ?? "";
		const chosen = given.get(name) ?? conditionOf(graph, types, name);
		const branch = node.attrs[chosen === false ? "else_branch" : "then_branch"];
		if (!isIf(node) || chosen === undefined || branch?.kind !== "graph")
			return [node];
		folded = true;
		// Both branches declare the output, perhaps in different shapes: the chosen one's holds.
		for (const out of node.outputs) valueInfo.delete(out);
		const inner = inlined(node, branch.value, taken, `if_${i}/`);
		for (const [k, t] of inner.initializers) initializers.set(k, t);
		for (const [k, t] of inner.valueInfo) valueInfo.set(k, t);
		return inner.nodes;
	});
	// What a branch held may hold more, and what it computed may decide others.
	return folded
		? foldBranches({ ...graph, nodes, initializers, valueInfo }, given)
		: graph;
}

/** Whether a node chooses between two graphs. */
export const isIf = (node: Node): boolean => node.op === "If" && !node.domain;

function conditionOf(
	graph: Graph,
	types: ReadonlyMap<string, ValueType>,
	name: string,
): boolean | undefined {
	const value =
		graph.initializers.get(name)?.data[0] ?? types.get(name)?.ints?.[0];
	return typeof value === "number" ? value !== 0 : undefined;
}

/** A branch's nodes with names of their own, its outputs under the names of the If's. */
function inlined(
	node: Node,
	branch: Graph,
	taken: Set<string>,
	prefix: string,
): Pick<Graph, "nodes" | "initializers" | "valueInfo"> {
	const names = new Map<string, string>();
	const own = (name: string) => {
		let free = taken.has(name) ? `${prefix}${name}` : name;
		while (taken.has(free)) free += "_";
		taken.add(free);
		names.set(name, free);
	};
	for (const name of branch.initializers.keys()) own(name);
	const passed: Node[] = [];
	const made = new Set(branch.nodes.flatMap((n) => n.outputs));
	branch.outputs.forEach(({ name }, i) => {
		const wanted = node.outputs[i];
		if (!wanted) return;
		if (made.has(name) && !names.has(name)) names.set(name, wanted);
		else
			passed.push({
				op: "Identity",
				domain: "",
				name: `${prefix}${wanted}`,
				inputs: [name],
				outputs: [wanted],
				attrs: {},
			});
	});
	for (const name of made) if (name && !names.has(name)) own(name);
	const around = (name: string) => names.get(name) ?? name;
	return {
		nodes: [...branch.nodes, ...passed].map((n) => renamed(n, around)),
		initializers: new Map(
			[...branch.initializers].map(([k, t]) => [around(k), t]),
		),
		valueInfo: new Map([...branch.valueInfo].map(([k, t]) => [around(k), t])),
	};
}

/** A node, and the graphs inside it, with other names; what an inner graph defines hides what is outside. */
export function renamed(node: Node, around: (name: string) => string): Node {
	const attrs = Object.entries(node.attrs).map(([key, a]): [string, Attr] => {
		if (a.kind !== "graph") return [key, a];
		const g = a.value;
		const hidden = new Set([
			...g.inputs.map((v) => v.name),
			...g.initializers.keys(),
			...g.nodes.flatMap((n) => n.outputs),
		]);
		const inner = (name: string) => (hidden.has(name) ? name : around(name));
		const value = {
			...g,
			outputs: g.outputs.map((v) => ({ ...v, name: inner(v.name) })),
			nodes: g.nodes.map((n) => renamed(n, inner)),
		};
		return [key, { kind: "graph", value }];
	});
	return {
		...node,
		inputs: node.inputs.map(around),
		outputs: node.outputs.map(around),
		attrs: Object.fromEntries(attrs),
	};
}
