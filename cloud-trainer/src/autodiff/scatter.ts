import { sameShape, type Value } from "@wattvox/onnx";
import { sizesOf, zerosLike } from "./settings.ts";
import { reshapeLike, retype, shapeOf, type VjpContext } from "./vjp.ts";

/** Up to this many rows a one-hot product beats ScatterElements, which adds element by element. */
const SMALL = 1024;
/** ScatterElements adds from this opset on. */
const ADDS = 16;

/** The opset of the standard domain. */
const opsetOf = (c: VjpContext): number => c.b.graph.opsets[""] ?? 0;

/** The size of an axis as a one-dimensional int64: constant where known. */
export const sizeOfAxis = (c: VjpContext, v: Value, axis: number): Value =>
	sizesOf(c, v, axis, axis + 1);

/**
 * Adds the slices of `g` along `axis` up at the positions `rows` (one-dimensional, duplicates and
 * negative ones included) of zeros shaped like `x`: the transpose of Gather. Small tables go through a
 * one-hot product; ScatterND(add) is wrong with more than one thread on the CPU provider.
 */
export function addAlong(
	c: VjpContext,
	g: Value,
	rows: Value,
	axis: number,
	x: Value,
): Value {
	const { b } = c;
	const shape = shapeOf(c, x);
	const size = shape[axis];
	if (typeof size === "number" && size > SMALL && opsetOf(c) >= ADDS)
		return scatterAlong(c, g, rows, axis, x);
	const behind = shape.length - 1 - axis;
	const hot = oneHot(c, rows, sizeOfAxis(c, x, axis));
	if (behind === 0) return retype(b, b.matmul(g, hot), x);
	// [N, M] times [..., M, the rest].
	const turned = b.transpose(hot, [1, 0]);
	if (axis === 0) {
		const flat = behind === 1 ? g : b.op("Flatten", [g], { axis: 1 });
		const sum = b.op("Gemm", [hot, flat], { transA: 1 });
		return behind === 1 ? retype(b, sum, x) : reshapeLike(b, sum, x);
	}
	if (behind === 1) return retype(b, b.matmul(turned, g), x);
	const keep = new Array<number>(axis + 1).fill(0);
	const sum = b.matmul(turned, b.reshape(g, [...keep, -1]));
	return reshapeLike(b, sum, x);
}

/** A 0/1 matrix [M, N] with a 1 in each row. */
export const oneHot = (
	{ b }: VjpContext,
	rows: Value,
	depth: Value,
	axis = -1,
): Value =>
	b.op(
		"OneHot",
		[
			rows,
			depth,
			b.constant({ dtype: "float32", dims: [2], data: Float32Array.of(0, 1) }),
		],
		{ axis },
	);

function scatterAlong(
	c: VjpContext,
	g: Value,
	rows: Value,
	axis: number,
	x: Value,
): Value {
	const { b } = c;
	const rank = shapeOf(c, x).length;
	const ones = (n: number) => new Array<number>(n).fill(1);
	const column = b.reshape(rows, [...ones(axis), -1, ...ones(rank - 1 - axis)]);
	const full = b.op("Expand", [column, b.op("Shape", [g])]);
	return scatterAdd(c, full, g, axis, x);
}

/**
 * Adds the elements of `g` up at `indices` (of the same shape) along `axis` of zeros shaped like `x`:
 * the transpose of GatherElements. Below opset 16, where ScatterElements does not add, by one-hot
 * vectors along the axis.
 */
export function scatterAdd(
	c: VjpContext,
	indices: Value,
	g: Value,
	axis: number,
	x: Value,
): Value {
	const { b } = c;
	if (opsetOf(c) >= ADDS) {
		const sum = b.op("ScatterElements", [zerosLike(c, x), indices, g], {
			axis,
			reduction: "add",
		});
		return retype(b, sum, x);
	}
	const hot = oneHot(c, indices, sizeOfAxis(c, x, axis), axis);
	const all = b.mul(hot, b.op("Unsqueeze", [g, b.ints([axis])]));
	const sum = b.sum(all, [axis + 1]);
	if (sameShape(sum.shape, x.shape)) return sum;
	// Along the other axes indices may reach less far than x.
	const rest = b.op("Sub", [b.op("Shape", [x]), b.op("Shape", [sum])]);
	const front = b.ints(new Array(shapeOf(c, x).length).fill(0));
	return retype(b, b.op("Pad", [sum, b.concat([front, rest], 0)]), x);
}

/**
 * Puts the slices of `g` along `axis` at the positions `rows` of zeros shaped like `x`, each position
 * taken once at most: the rows are gathered by where they come from, a row of zeros standing in for
 * those that come from nowhere.
 */
export function placeAlong(
	c: VjpContext,
	g: Value,
	rows: Value,
	axis: number,
	x: Value,
): Value {
	const { b } = c;
	const count = b.op("Shape", [rows]);
	const nowhere = b.op("Expand", [count, sizeOfAxis(c, x, axis)]);
	const range = rangeOf(c, count);
	const from = b.op("ScatterElements", [nowhere, rows, range], { axis: 0 });
	const out = b.op("Gather", [b.pad(g, axis, 0, 1), from], { axis });
	const dims = [...shapeOf(c, g)];
	dims[axis] = shapeOf(c, x)[axis] as (typeof dims)[0];
	return b.assume(out, dims);
}

/** The int64 numbers 0 to size - 1 of an axis. */
export function rangeOf(c: VjpContext, size: Value): Value {
	const { b } = c;
	const whole = (n: bigint) =>
		b.constant({ dtype: "int64", dims: [], data: BigInt64Array.of(n) });
	return b.op("Range", [whole(0n), b.op("Squeeze", [size]), whole(1n)]);
}
