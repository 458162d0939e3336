import { WattvoxError } from "@wattvox/core";
import type { InferContext, Rule } from "./infer-context.ts";
import { elementwiseRules } from "./infer-elementwise.ts";
import { fusedRules } from "./infer-fused.ts";
import { indexingRules } from "./infer-indexing.ts";
import { linearRules } from "./infer-linear.ts";
import { normRules } from "./infer-norm.ts";
import { rareRules } from "./infer-rare.ts";
import { recurrentRules } from "./infer-recurrent.ts";
import { spatialRules } from "./infer-spatial.ts";
import { structuralRules } from "./infer-structural.ts";
import { intsOfTensor, valuesOf } from "./infer-values.ts";
import type { Graph, Node, Tensor, ValueType } from "./types.ts";

/** Shape and type rules by operator. `com.microsoft` operators carry their domain as a prefix. */
export const RULES: Readonly<Record<string, Rule>> = {
	...elementwiseRules,
	...linearRules,
	...normRules,
	...recurrentRules,
	...spatialRules,
	...structuralRules,
	...fusedRules,
	...indexingRules,
	...rareRules,
};

/** An operator's key in our tables: its name, with the domain in front when it is not the standard one. */
export const opKey = (node: Node): string =>
	node.domain ? `${node.domain}.${node.op}` : node.op;

/**
 * The types of a node's outputs; undefined for each where the operator has no rule or the type of its
 * first input is not known.
 * @throws WattvoxError E_MODEL when known sizes contradict each other
 */
export function inferNode(c: InferContext): (ValueType | undefined)[] {
	const key = opKey(c.node);
	const rule = Object.hasOwn(RULES, key) ? RULES[key] : undefined;
	if (!rule || (c.node.inputs[0] && !c.types[0]))
		return c.node.outputs.map(() => undefined);
	try {
		const types = rule(c);
		const ints = valuesOf(c, types);
		return types.map((t, i) => {
			if (!t) return undefined;
			const held = ints[i];
			return { dtype: t.dtype, shape: t.shape, ...(held && { ints: held }) };
		});
	} catch (cause) {
		if (!(cause instanceof WattvoxError)) throw cause;
		throw new WattvoxError(
			cause.code,
			`${key} (node ${c.node.name || "unnamed"}): ${cause.message}`,
			{ cause },
		);
	}
}

/** The type of a constant. */
export function typeOf(t: Tensor): ValueType {
	const ints = intsOfTensor(t);
	return { dtype: t.dtype, shape: t.dims, ...(ints && { ints }) };
}

/** The tensor that a Constant node holds, where it holds one. */
export function constantOf(node: Node): Tensor | undefined {
	if (node.op !== "Constant") return undefined;
	const { value, value_int, value_ints, value_float, value_floats } =
		node.attrs;
	if (value?.kind === "tensor") return value.value;
	const ints = value_ints ?? value_int;
	if (ints) {
		const list = [ints.value].flat() as number[];
		return {
			dtype: "int64",
			dims: value_ints ? [list.length] : [],
			data: BigInt64Array.from(list.map(BigInt)),
		};
	}
	const reals = value_floats ?? value_float;
	if (!reals) return undefined;
	const list = [reals.value].flat() as number[];
	return {
		dtype: "float32",
		dims: value_floats ? [list.length] : [],
		data: Float32Array.from(list),
	};
}

/**
 * Types of every value in a graph, by name, inferred node by node; where inference does not see a
 * shape, the one that the file declares is taken. Values behind operators without a rule that nothing
 * declares are absent.
 * @throws WattvoxError E_MODEL when a node reads a value that nothing makes, or sizes contradict each
 * other
 */
export function inferTypes(graph: Graph): Map<string, ValueType> {
	const types = new Map<string, ValueType>();
	const consts = new Map(graph.initializers);
	for (const { name, dtype, shape } of graph.inputs)
		types.set(name, { dtype, shape });
	for (const [name, t] of graph.initializers) types.set(name, typeOf(t));
	const declared = new Map<string, ValueType>(graph.valueInfo);
	for (const { name, dtype, shape } of graph.outputs)
		declared.set(name, { dtype, shape });
	const made = new Set(types.keys());
	for (const node of graph.nodes) {
		for (const input of node.inputs)
			if (input && !made.has(input))
				throw new WattvoxError(
					"E_MODEL",
					`node ${node.name || node.op} reads ${input}, which nothing before it makes`,
				);
		const constant = constantOf(node);
		if (constant && node.outputs[0]) consts.set(node.outputs[0], constant);
		const inferred = inferNode({
			node,
			types: node.inputs.map((i) => types.get(i)),
			consts: node.inputs.map((i) => consts.get(i)),
			opset: graph.opsets[""] ?? 0,
		});
		node.outputs.forEach((name, i) => {
			made.add(name);
			const seen = inferred[i];
			let type = seen?.shape ? seen : (declared.get(name) ?? seen);
			if (constant && i === 0) type = typeOf(constant);
			if (name && type) types.set(name, type);
		});
	}
	return types;
}
