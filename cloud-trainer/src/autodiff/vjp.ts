import { WattvoxError } from "@wattvox/core";
import {
	type Dim,
	type GraphBuilder,
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
	/** The primal outputs. */
	readonly outputs: readonly Value[];
	/** Cotangents of the outputs; undefined where nothing depends on that output. */
	readonly grads: readonly (Value | undefined)[];
	/** Which inputs need a cotangent: a rule may leave the others out. */
	readonly needs: readonly boolean[];
	/** The value of a constant input. */
	constant(index: number): Tensor | undefined;
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
		`no gradient for ${opKey(c.node)} (node ${c.node.name || "unnamed"}): ${why}`,
	);

/** The shape of a value. @throws WattvoxError E_OP_UNSUPPORTED when not even its rank is known */
export function shapeOf(c: VjpContext, v: Value): Dim[] {
	if (!v.shape) throw unsupported(c, `the rank of ${v.name} is unknown`);
	return v.shape;
}

/** An axis counted from the front. */
export const fromFront = (axis: number, rank: number): number =>
	axis < 0 ? axis + rank : axis;

/** Reshapes `v` to the shape of `like`. */
export function reshapeLike(b: GraphBuilder, v: Value, like: Value): Value {
	if (sameShape(v.shape, like.shape)) return v;
	if (like.shape && product(like.shape) !== undefined)
		return b.reshape(v, like.shape as number[]);
	const out = b.op("Reshape", [v, b.op("Shape", [like])]);
	return retype(b, out, like);
}

/** Broadcasts `v` to the shape of `like`. */
export function expandLike(b: GraphBuilder, v: Value, like: Value): Value {
	if (sameShape(v.shape, like.shape)) return v;
	const target =
		like.shape && product(like.shape) !== undefined
			? b.ints(like.shape as number[])
			: b.op("Shape", [like]);
	return retype(b, b.op("Expand", [v, target]), like);
}

/** Tells the builder that `v` has the shape of `like`, which inference cannot see through Shape. */
export function retype(b: GraphBuilder, v: Value, like: Value): Value {
	return like.shape ? b.assume(v, like.shape) : v;
}

/** A 0/1 mask of the cotangent's type. */
export const mask = (b: GraphBuilder, bool: Value): Value =>
	b.cast(bool, "float32");

/** Sums a cotangent down to the primal's shape: the transpose of numpy's broadcasting. */
export function unbroadcast(b: GraphBuilder, g: Value, primal: Value): Value {
	if (sameShape(g.shape, primal.shape) || !g.shape || !primal.shape) return g;
	const lead = g.shape.length - primal.shape.length;
	const axes: number[] = [];
	g.shape.forEach((d, i) => {
		if (i < lead || (primal.shape?.[i - lead] === 1 && d !== 1)) axes.push(i);
	});
	const summed = axes.length ? b.sum(g, axes, 1) : g;
	return lead > 0 ? reshapeLike(b, summed, primal) : retype(b, summed, primal);
}
