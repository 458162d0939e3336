import { WattvoxError } from "@wattvox/core";
import { inferTypes } from "../infer.ts";
import type { Graph, Node, Tensor, ValueType } from "../types.ts";
import { toTensorrt } from "./lower.ts";
import {
	TENSORRT_OPSETS,
	TENSORRT_VERSIONS,
	type TensorrtVersion,
	tensorrtHas,
	tensorrtTakes,
} from "./operators.ts";
import { RESTRICTIONS } from "./restrictions.ts";

/** A node, or a value, that TensorRT does not take, and why. */
export interface TensorrtFinding {
	/** The node's name, or the value's. */
	node: string;
	/** Its operator; "input" and "initialiser" for values. */
	op: string;
	why: string;
}

/** Operators whose data is not their first input: the index of the input that tells, or "out". */
const TOLD_BY: Readonly<Record<string, number | "out">> = {
	Where: 1,
	If: "out",
	Loop: "out",
	OneHot: 2,
	ConstantOfShape: "out",
	Constant: "out",
	EyeLike: "out",
	// what it makes; a cast from another type is the parser's own business
	Cast: "out",
	CastLike: "out",
	// what it counts may be anything that a tensor may be
	Shape: "out",
	Size: "out",
};

/**
 * What a version of TensorRT would not take of a graph, in the graph's order; empty when it takes all.
 * The graph is judged as it stands: {@link toTensorrt} first for what the engine's builder is given.
 * @throws WattvoxError E_MODEL when the graph contradicts itself
 */
export function checkTensorrt(
	graph: Graph,
	version: TensorrtVersion,
): TensorrtFinding[] {
	const findings: TensorrtFinding[] = [];
	const opset = graph.opsets[""] ?? 0;
	const [low, high] = TENSORRT_OPSETS[version];
	if (opset < low || opset > high)
		findings.push({
			node: graph.name,
			op: "graph",
			why: `opset ${opset}; it reads ${low} to ${high}`,
		});
	if (version === "8.5")
		for (const [name, tensor] of graph.initializers)
			if (!fitsInt32(tensor))
				findings.push({
					node: name,
					op: "initialiser",
					why: "holds 64-bit integers that do not fit 32 bits",
				});
	const types = inferTypes(graph);
	const fixed = new Set(graph.initializers.keys());
	for (const node of graph.nodes) {
		if (node.op === "Constant")
			for (const name of node.outputs) fixed.add(name);
		const why = whyNot(node, version, types, fixed);
		if (why)
			findings.push({
				node: node.name || (node.outputs[0] ?? ""),
				op: node.op,
				why,
			});
		for (const attr of Object.values(node.attrs))
			if (attr.kind === "graph")
				findings.push(...checkBody(attr.value, version, graph));
	}
	return findings;
}

/** Operators of a body (of If, Loop, Scan), which reads names of the graph around it: by operator alone. */
function checkBody(
	body: Graph,
	version: TensorrtVersion,
	outer: Graph,
): TensorrtFinding[] {
	const fixed = new Set([
		...outer.initializers.keys(),
		...body.initializers.keys(),
	]);
	return body.nodes.flatMap((node) => {
		const why = whyNot(node, version, new Map(), fixed);
		return why ? [{ node: node.name, op: node.op, why }] : [];
	});
}

function whyNot(
	node: Node,
	version: TensorrtVersion,
	types: ReadonlyMap<string, ValueType>,
	fixed: ReadonlySet<string>,
): string | undefined {
	if (node.domain && node.domain !== "ai.onnx")
		return `operators of domain ${node.domain} are not known to it`;
	const refusal = RESTRICTIONS[node.op]?.({
		node,
		version,
		types: node.inputs.map((name) => types.get(name)),
		fixed: (i) => !node.inputs[i] || fixed.has(node.inputs[i] ?? ""),
	});
	if (refusal) return refusal;
	if (!tensorrtHas(node.op, version)) return "it has no such operator";
	const teller = TOLD_BY[node.op] ?? 0;
	const told = teller === "out" ? node.outputs[0] : node.inputs[teller];
	const dtype = types.get(told ?? "")?.dtype;
	return dtype && !tensorrtTakes(node.op, dtype, version)
		? `not on ${dtype}`
		: undefined;
}

function fitsInt32({ data }: Tensor): boolean {
	if (!(data instanceof BigInt64Array)) return true;
	return data.every((x) => x >= -(2n ** 31n) && x < 2n ** 31n);
}

/**
 * Refuses a graph that some TensorRT which devices run cannot take, as the engine's builder would be
 * given it.
 * @param versions those that matter; all that devices run by default
 * @throws WattvoxError E_TENSORRT_OP naming the graph, the TensorRT version, the node, its operator and why
 */
export function requireTensorrt(
	graph: Graph,
	versions: readonly TensorrtVersion[] = TENSORRT_VERSIONS,
): void {
	for (const version of versions) {
		const findings = checkTensorrt(toTensorrt(graph, version), version);
		const [first] = findings;
		if (!first) continue;
		const more = findings.length - 1;
		throw new WattvoxError(
			"E_TENSORRT_OP",
			`TensorRT ${version} does not take ${first.op} ${JSON.stringify(first.node)} of graph ${graph.name}: ${first.why}${more ? `; and ${more} more` : ""}`,
		);
	}
}
