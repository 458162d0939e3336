import { WattvoxError } from "@wattvox/core";
import {
	type Graph,
	GraphBuilder,
	inferTypes,
	int64s,
	type Node,
	opKey,
	type Tensor,
	type Value,
	type ValueType,
} from "@wattvox/onnx";
import { reads, withoutLoops } from "./loops.ts";
import { QUANTIZERS, REFUSED } from "./refused.ts";
import { ruleOf, ZERO_GRADIENT } from "./rules.ts";
import { describe, expandLike, unbroadcast } from "./vjp.ts";

/** Oldest opset of the standard domain that the rules' own nodes are valid in. */
const OLDEST = 13;

/** A graph that has grown its backward half. */
export interface Differentiated {
	/** Continues the copied graph: add an optimiser, or outputs. */
	builder: GraphBuilder;
	/** Gradients by the name of what was asked for; undefined where the loss does not depend on it. */
	gradients: Map<string, Value | undefined>;
	/** How many of the graph's nodes, from the first on, are the forward half. */
	forward: number;
	/** Every cotangent as it grew: the value's name, the sum so far, and how many nodes there were then. */
	history: { name: string; cotangent: Value; at: number }[];
}

/** Cotangents by value, with a memory of how they grew. */
class Cotangents extends Map<string, Value> {
	readonly history: Differentiated["history"] = [];
	readonly #graph: Graph;
	constructor(graph: Graph) {
		super();
		this.#graph = graph;
	}
	override set(name: string, cotangent: Value): this {
		this.history.push({ name, cotangent, at: this.#graph.nodes.length });
		return super.set(name, cotangent);
	}
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
	const plain = withoutLoops(graph, wrt);
	const { nodes, initializers } = plain;
	const copy: Graph = {
		...plain,
		opsets: { ...graph.opsets },
		inputs: [...graph.inputs],
		outputs: [...graph.outputs],
		nodes: nodes.map((n) => ({ ...n, outputs: [...n.outputs] })),
		initializers: new Map(initializers),
	};
	const opset = copy.opsets[""] ?? 0;
	if (opset < OLDEST)
		throw new WattvoxError(
			"E_OP_UNSUPPORTED",
			`gradients need opset ${OLDEST} or later; the graph has opset ${opset}`,
		);
	const types = inferTypes(copy);
	const b = new GraphBuilder(copy, types);
	const loss = b.value(of);
	for (const name of wrt) b.value(name);

	const active = activeValues(copy.nodes, wrt, types);
	refuseUntyped(b, types, active, of);
	const forward = copy.nodes.length;
	const cotangents = new Cotangents(copy);
	cotangents.set(of, expandLike(b, b.scalar(1), loss));
	walk(b, copy.nodes.slice(0, forward), active, cotangents);
	const gradients = new Map(wrt.map((name) => [name, cotangents.get(name)]));
	const left = dropUnread(copy, forward, gradients.values());
	return {
		builder: b,
		gradients,
		forward,
		history: cotangents.history.flatMap(({ cotangent, at, ...rest }) =>
			left.gone.has(cotangent.name)
				? []
				: [{ ...rest, cotangent, at: left.place(at) }],
		),
	};
}

/**
 * Removes nodes from `from` on that nothing wanted reads: ONNX Runtime would run them all the same, and
 * rules may make more than is asked of them.
 * @returns the values that are gone, and where in the list a former place is now
 */
function dropUnread(
	graph: Graph,
	from: number,
	wanted: Iterable<Value | undefined>,
): { gone: Set<string>; place: (at: number) => number } {
	const read = new Set<string>();
	for (const v of wanted) if (v) read.add(v.name);
	const gone = new Set<string>();
	const kept = graph.nodes.map((node, i) => [node, i] as const);
	for (let i = graph.nodes.length - 1; i >= from; i--) {
		const node = graph.nodes[i] as Node;
		if (node.outputs.some((o) => read.has(o)))
			for (const name of reads(node)) read.add(name);
		else {
			for (const o of node.outputs) gone.add(o);
			kept.splice(i, 1);
		}
	}
	graph.nodes = kept.map(([node]) => node);
	const places = kept.map(([, i]) => i);
	return {
		gone,
		// Ascending, so that the first which is not before `at` stands there now.
		place: (at) => {
			let [low, high] = [0, places.length];
			while (low < high) {
				const middle = (low + high) >> 1;
				if ((places[middle] as number) < at) low = middle + 1;
				else high = middle;
			}
			return low;
		},
	};
}

/** Names of the floating values that depend on `wrt`. */
function activeValues(
	nodes: readonly Node[],
	wrt: readonly string[],
	types: ReadonlyMap<string, ValueType>,
): Set<string> {
	const active = new Set(wrt);
	const floating = (name: string) =>
		/float|undefined/.test(String(types.get(name)?.dtype));
	for (const node of nodes)
		if (
			!ZERO_GRADIENT.has(opKey(node)) &&
			reads(node).some((i) => active.has(i))
		)
			for (const o of node.outputs)
				if (o && (floating(o) || QUANTIZERS.has(node.op))) active.add(o);
	return active;
}

/** Carries cotangents from the outputs of nodes to their inputs, the last node first. */
function walk(
	b: GraphBuilder,
	nodes: Node[],
	active: ReadonlySet<string>,
	cotangents: Map<string, Value>,
): void {
	for (const node of nodes.reverse()) {
		if (!node.outputs.some((o) => cotangents.has(o))) continue;
		if (reads(node).some((name) => active.has(name)))
			backward(b, node, active, cotangents);
	}
}

/** See {@link VjpContext.through}: the same walk over the nodes that `define` adds. */
function throughDefinition(
	b: GraphBuilder,
	node: Node,
	active: ReadonlySet<string>,
	grads: readonly (Value | undefined)[],
	define: (b: GraphBuilder) => readonly (Value | undefined)[],
): (Value | undefined)[] {
	const start = b.graph.nodes.length;
	const outputs = define(b);
	const nodes = b.graph.nodes.slice(start);
	const types = new Map<string, ValueType>();
	for (const name of nodes.flatMap((n) => n.outputs))
		if (name) types.set(name, b.value(name));
	const cotangents = new Map<string, Value>();
	outputs.forEach((out, i) => {
		const g = grads[i];
		const known = out && cotangents.get(out.name);
		if (out && g) cotangents.set(out.name, known ? b.add(known, g) : g);
	});
	const wrt = node.inputs.filter((name) => active.has(name));
	walk(b, nodes, activeValues(nodes, wrt, types), cotangents);
	// A value that stands twice among the inputs has one cotangent, which counts once.
	return node.inputs.map((name, i) =>
		node.inputs.indexOf(name) === i ? cotangents.get(name) : undefined,
	);
}

/** The tensor behind integers that follow from sizes and constants. */
function followed(v: Value | undefined): Tensor | undefined {
	if (!v?.shape || !v.ints?.every((d) => typeof d === "number"))
		return undefined;
	const tensor = int64s(v.ints as number[]);
	return v.shape.length ? tensor : { ...tensor, dims: [] };
}

const refused = (b: GraphBuilder, node: Node): WattvoxError =>
	new WattvoxError(
		"E_OP_UNSUPPORTED",
		`no gradient for ${describe(b, node)}${REFUSED[node.op] ? `: ${REFUSED[node.op]}` : ""}`,
	);

/**
 * An operator without a rule, whose outputs nothing declares, is named itself: behind it no types are
 * known, and the walk would fail at another node first.
 */
function refuseUntyped(
	b: GraphBuilder,
	types: ReadonlyMap<string, ValueType>,
	active: ReadonlySet<string>,
	of: string,
): void {
	const needed = new Set([of]);
	for (const node of b.graph.nodes.toReversed())
		if (node.outputs.some((o) => needed.has(o)))
			for (const name of reads(node)) needed.add(name);
	const untyped = (o: string) =>
		needed.has(o) && active.has(o) && !types.has(o);
	const first = b.graph.nodes.find((n) => n.outputs.some(untyped));
	if (first && !ruleOf(opKey(first))) throw refused(b, first);
}

/** Adds to the cotangents of a node's inputs what reaches them through the node. */
function backward(
	b: GraphBuilder,
	node: Node,
	active: ReadonlySet<string>,
	cotangents: Map<string, Value>,
): void {
	const rule = ruleOf(opKey(node));
	if (!rule) throw refused(b, node);
	const needs = node.inputs.map((i) => active.has(i));
	const inputs = node.inputs.map((i) => (i ? b.value(i) : undefined));
	for (const v of inputs)
		if (
			v &&
			active.has(v.name) &&
			v.dtype !== "float32" &&
			!/^(Cast|Dequantize)/.test(node.op)
		)
			throw new WattvoxError(
				"E_OP_UNSUPPORTED",
				`no gradient for ${describe(b, node)}: ${v.name} is ${v.dtype}, gradients are float32`,
			);
	const grads = node.outputs.map((o) => cotangents.get(o));
	const results = rule({
		b,
		node,
		inputs,
		outputs: node.outputs.map((o) => (o ? b.value(o) : undefined)),
		grads,
		needs,
		through: (define) => throughDefinition(b, node, active, grads, define),
		constant: (i) =>
			b.graph.initializers.get(node.inputs[i] ?? "") ?? followed(inputs[i]),
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
