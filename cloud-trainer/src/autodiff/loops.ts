import {
	foldBranches,
	type Graph,
	hoistConstants,
	inferTypes,
	type Node,
	unrolled,
	type ValueType,
	withoutSequences,
} from "@wattvox/onnx";

/** Names that a node reads, those that its inner graphs (If, Loop, Scan) take from outside included. */
export function reads(node: Node): string[] {
	const names = [...node.inputs];
	for (const attr of Object.values(node.attrs))
		if (attr.kind === "graph") {
			names.push(...attr.value.outputs.map((v) => v.name));
			for (const inner of attr.value.nodes) names.push(...reads(inner));
		}
	return names;
}

const isLoop = (node: Node): boolean =>
	!node.domain && (node.op === "Loop" || node.op === "Scan");

/**
 * The graph without constants among its nodes, without Ifs whose branch is known and sequences whose
 * elements are, and with the steps of
 * each Loop and Scan between `wrt` and what they lead to written out, where their number is known.
 * Others stay as they are.
 * @throws WattvoxError E_MODEL for a graph that is not valid
 */
export function withoutLoops(graph: Graph, wrt: readonly string[]): Graph {
	// The branches that were chosen may hold Constant nodes too.
	const plain = withoutSequences(
		hoistConstants(foldBranches(hoistConstants(graph))),
	);
	if (!plain.nodes.some(isLoop)) return plain;
	const types: Map<string, ValueType> = inferTypes(plain);
	const reached = new Set(wrt);
	const initializers = new Map(plain.initializers);
	const valueInfo = new Map(plain.valueInfo);
	let written = false;
	const nodes = plain.nodes.flatMap((node) => {
		if (!reads(node).some((name) => reached.has(name))) return [node];
		for (const name of node.outputs) if (name) reached.add(name);
		const steps = isLoop(node) ? unrolled(plain, node, types) : undefined;
		if (!steps) return [node];
		written = true;
		for (const [name, t] of steps.initializers) initializers.set(name, t);
		for (const name of node.outputs) valueInfo.delete(name);
		return steps.nodes;
	});
	// What a step holds may hold more.
	return written
		? withoutLoops({ ...plain, nodes, initializers, valueInfo }, wrt)
		: plain;
}
