import { WattvoxError } from "@wattvox/core";
import {
	type Dim,
	type GraphBuilder,
	int64s,
	type Node,
	opKey,
	product,
	sameShape,
	type Tensor,
	type Value,
} from "@wattvox/onnx";

/** What a gradient rule sees of one node. Rules add nodes to `b` and return one cotangent per input. */
export interface VjpContext {
	readonly b: GraphBuilder;
	/** The forward node; a rule may ask it for more outputs with `b.extend`. */
	readonly node: Node;
	/** The primal inputs; undefined where an optional one is absent. */
	readonly inputs: readonly (Value | undefined)[];
	/** The primal outputs; undefined where an optional one is left out. */
	readonly outputs: readonly (Value | undefined)[];
	/** Cotangents of the outputs; undefined where nothing depends on that output. */
	readonly grads: readonly (Value | undefined)[];
	/** Which inputs need a cotangent: a rule may leave the others out. */
	readonly needs: readonly boolean[];
	/** The value of a constant input. */
	constant(index: number): Tensor | undefined;
	/**
	 * Cotangents of this node's inputs through another way to compute its outputs: `define` builds them
	 * from the inputs with operators that have rules, and these are differentiated instead.
	 */
	through(
		define: (b: GraphBuilder) => readonly (Value | undefined)[],
	): (Value | undefined)[];
}

/**
 * The vector-Jacobian product of one operator. A cotangent may come back in the broadcast shape of the
 * output: the walk sums it down to the primal's shape.
 */
export type Rule = (c: VjpContext) => (Value | undefined)[];

/** The first input, which every rule has. */
export const x0 = (c: VjpContext): Value => input(c, 0);
/** Input `i`. @throws WattvoxError E_MODEL when absent */
export function input(c: VjpContext, i: number): Value {
	const value = c.inputs[i];
	if (!value)
		throw new WattvoxError(
			"E_MODEL",
			`${c.node.op} ${c.node.name} lacks input ${i}`,
		);
	return value;
}
/** The cotangent of the first output. */
export function g0(c: VjpContext): Value {
	const value = c.grads[0];
	if (!value)
		throw new WattvoxError(
			"E_BUG",
			`${c.node.op} ${c.node.name} was asked for a gradient without a cotangent`,
		);
	return value;
}
/** The first output. */
export const y0 = (c: VjpContext): Value => c.outputs[0] as Value;

/** Says that a form of an operator has no gradient rule. */
export const unsupported = (c: VjpContext, why: string): WattvoxError =>
	new WattvoxError(
		"E_OP_UNSUPPORTED",
		`no gradient for ${describe(c.b, c.node)}: ${why}`,
	);

/** A node as errors name it: operator, name and opset. */
export const describe = (b: GraphBuilder, node: Node): string =>
	`${opKey(node)} (node ${node.name || "unnamed"}, opset ${b.graph.opsets[node.domain] ?? "?"})`;

/** The shape of a value. @throws WattvoxError E_OP_UNSUPPORTED when not even its rank is known */
export function shapeOf(c: VjpContext, v: Value): Dim[] {
	if (!v.shape) throw unsupported(c, `the rank of ${v.name} is unknown`);
	return v.shape;
}

/** An axis counted from the front. */
export const fromFront = (axis: number, rank: number): number =>
	axis < 0 ? axis + rank : axis;

/**
 * Reshapes `v` to the shape of `like`. A Reshape that `v` has just come through is passed over: ONNX
 * Runtime 1.30 fails to fuse one to a computed shape with one to a known shape behind it.
 */
export function reshapeLike(b: GraphBuilder, v: Value, like: Value): Value {
	if (sameShape(v.shape, like.shape)) return v;
	const known = like.shape && product(like.shape) ? like.shape : undefined;
	const target = known ? b.ints(known as number[]) : sizesOf(b, like);
	// A size of 0 is a size, not one to be copied.
	const attrs =
		!known && (b.graph.opsets[""] ?? 0) >= 14 ? { allowzero: 1 } : {};
	return retype(b, b.op("Reshape", [unreshaped(b, v), target], attrs), like);
}

/** What a value was before the Reshape nodes just made. */
function unreshaped(b: GraphBuilder, v: Value): Value {
	const last = b.graph.nodes.slice(-4);
	const from = last.find((n) => n.outputs[0] === v.name && n.op === "Reshape");
	return from ? unreshaped(b, b.value(from.inputs[0] as string)) : v;
}

/**
 * The sizes of a value, int64 [rank]. Where its symbols are sizes of the graph's inputs they are read
 * there: a forward value would otherwise be kept until the backward half asks for its shape.
 */
export function sizesOf(b: GraphBuilder, v: Value): Value {
	const parts: Value[] = [];
	let fixed: number[] = [];
	const flush = () => {
		if (fixed.length) parts.push(b.ints(fixed));
		fixed = [];
	};
	for (const d of v.shape ?? ["?"]) {
		if (typeof d === "number") {
			fixed.push(d);
			continue;
		}
		flush();
		const source = b.graph.inputs.find((i) => i.shape?.includes(d));
		const axis = source?.shape?.indexOf(d) ?? -1;
		if (!source || axis < 0) return b.op("Shape", [v]);
		parts.push(b.slice(b.op("Shape", [source]), 0, axis, axis + 1));
	}
	flush();
	return parts.length === 1 ? (parts[0] as Value) : b.concat(parts, 0);
}

/** Broadcasts `v` to the shape of `like`. */
export function expandLike(b: GraphBuilder, v: Value, like: Value): Value {
	if (sameShape(v.shape, like.shape)) return v;
	const target =
		like.shape && product(like.shape) !== undefined
			? b.ints(like.shape as number[])
			: sizesOf(b, like);
	return retype(b, b.op("Expand", [v, target]), like);
}

/** Tells the builder that `v` has the shape of `like`, which inference cannot see through Shape. */
export function retype(b: GraphBuilder, v: Value, like: Value): Value {
	return like.shape ? b.assume(v, like.shape) : v;
}

/** A 0/1 mask of the cotangent's type. */
export const mask = (b: GraphBuilder, bool: Value): Value =>
	b.cast(bool, "float32");

/**
 * Sums a cotangent down to the primal's shape: the transpose of numpy's broadcasting. Where the types
 * do not tell which axes were broadcast, the graph finds out when it runs.
 */
export function unbroadcast(b: GraphBuilder, g: Value, primal: Value): Value {
	if (sameShape(g.shape, primal.shape)) return g;
	const axes = broadcastAxes(g.shape, primal.shape);
	if (!axes || !g.shape || !primal.shape) return sumToShape(b, g, primal);
	const summed = axes.length ? b.sum(g, axes, 1) : g;
	return g.shape.length > primal.shape.length
		? reshapeLike(b, summed, primal)
		: retype(b, summed, primal);
}

/** Axes of `to` along which `from` was repeated; undefined when a symbol might be 1 or not. */
function broadcastAxes(
	to: readonly Dim[] | undefined,
	from: readonly Dim[] | undefined,
): number[] | undefined {
	if (!to || !from) return undefined;
	const lead = to.length - from.length;
	const axes: number[] = [];
	for (const [i, d] of to.entries()) {
		const own = i < lead ? 1 : (from[i - lead] as Dim);
		if (i >= lead && (own === d || d === 1)) continue;
		if (own === 1) axes.push(i);
		else if (typeof own === "string") return undefined;
	}
	return axes;
}

/** {@link unbroadcast} from the shapes at run time: sums over the axes where the primal's size is 1. */
function sumToShape(b: GraphBuilder, g: Value, primal: Value): Value {
	const [wide, narrow] = [b.op("Shape", [g]), b.op("Shape", [primal])];
	const lead = b.op(
		"ConstantOfShape",
		[b.op("Sub", [b.op("Shape", [wide]), b.op("Shape", [narrow])])],
		{
			value: { kind: "tensor", value: int64s([1]) },
		},
	);
	const repeated = b.op("And", [
		b.op("Equal", [b.concat([lead, narrow], 0), b.ints([1])]),
		b.op("Not", [b.op("Equal", [wide, b.ints([1])])]),
	]);
	const axes = b.reshape(b.op("NonZero", [repeated]), [-1]);
	const summed = b.op("ReduceSum", [g, axes], {
		keepdims: 1,
		noop_with_empty_axes: 1,
	});
	return retype(b, b.op("Reshape", [summed, narrow]), primal);
}
