import {
	type Dim,
	floats,
	type GraphBuilder,
	intAttr,
	intsAttr,
	stringAttr,
	type Value,
} from "@wattvox/onnx";
import {
	fromFront,
	g0,
	type Rule,
	reshapeLike,
	retype,
	shapeOf,
	unsupported,
	type VjpContext,
	x0,
	y0,
} from "./vjp.ts";

/** One axis that a Resize changes. */
interface Resized {
	axis: number;
	/** The given factor; undefined where only sizes are given, or the factor is computed. */
	factor: number | undefined;
	/** Where the axis stands in `scales`. */
	index: number;
}

/** The axes that a Resize changes, or may change. */
function resizedAxes(c: VjpContext): Resized[] {
	const { node } = c;
	const [xs, ys] = [shapeOf(c, x0(c)), shapeOf(c, y0(c))];
	const axes = intsAttr(node, "axes")?.map((a) => fromFront(a, xs.length)) ?? [
		...xs.keys(),
	];
	const factors = c.constant(2)?.data as Float32Array | undefined;
	const bySize = !!node.inputs[3];
	return axes.flatMap((axis, index) => {
		const factor = factors?.length ? factors[index] : undefined;
		const [from, to] = [xs[axis], ys[axis]];
		if (bySize ? from === to : factor === 1) return [];
		const ratio =
			bySize && typeof from === "number" && typeof to === "number"
				? to / from
				: undefined;
		return [{ axis, index, factor: factor ?? ratio }];
	});
}

/** Whether nearest neighbours repeat each element `factor` times. */
function repeats(c: VjpContext, factor: number | undefined): boolean {
	const { node } = c;
	if (stringAttr(node, "mode", "nearest") !== "nearest") return false;
	if (!factor || !Number.isInteger(factor)) return false;
	const at = stringAttr(node, "coordinate_transformation_mode", "half_pixel");
	const rounding = stringAttr(node, "nearest_mode", "round_prefer_floor");
	return at === "asymmetric"
		? rounding === "floor"
		: at.includes("half_pixel") && rounding.startsWith("round");
}

/** Sums over the repetitions of each element. */
function sumRepeats(c: VjpContext, axes: readonly Resized[]): Value {
	const { b } = c;
	const x = x0(c);
	const shape = shapeOf(c, y0(c));
	const target: (number | Value)[] = [];
	const over: number[] = [];
	const out = b.op("Shape", [x]);
	const own = b.op("Shape", [g0(c)]);
	shape.forEach((d, axis) => {
		const factor = axes.find((a) => a.axis === axis)?.factor;
		const from = factor ? x.shape?.[axis] : d;
		target.push(
			typeof from === "number"
				? from
				: b.slice(factor ? out : own, 0, axis, axis + 1),
		);
		if (!factor) return;
		over.push(target.length);
		target.push(factor);
	});
	const parts = target.map((d) => (typeof d === "number" ? b.ints([d]) : d));
	const known = target.filter((d) => typeof d === "number");
	const split =
		known.length === target.length
			? b.reshape(g0(c), known)
			: b.op("Reshape", [g0(c), b.concat(parts, 0)]);
	const summed = b.sum(split, over);
	return b.assume(
		summed,
		shape.map((d, axis) =>
			over.length && axes.some((a) => a.axis === axis)
				? (x.shape?.[axis] as Dim)
				: d,
		),
	);
}

/**
 * The matrix [L, M] of a Resize along one axis, y = x A: the operator itself tells, applied to the
 * identity with the same settings.
 */
function matrixOf(c: VjpContext, { axis, index, factor }: Resized): Value {
	const { b, node } = c;
	const bySize = !!node.inputs[3];
	const size = b.slice(b.op("Shape", [x0(c)]), 0, axis, axis + 1);
	const eye = b.op("EyeLike", [
		b.op("ConstantOfShape", [b.concat([size, size], 0)]),
	]);
	const square = b.op("Unsqueeze", [eye, b.ints([0, 1])]);
	const attrs = { ...node.attrs };
	delete attrs.axes;
	const scales = (): Value =>
		factor !== undefined
			? b.constant(floats([1, 1, 1, factor]))
			: b.concat(
					[
						b.constant(floats([1, 1, 1])),
						b.slice(c.inputs[2] as Value, 0, index, index + 1),
					],
					0,
				);
	const sizes = (): Value =>
		b.concat(
			[
				b.ints([1, 1]),
				size,
				b.slice(b.op("Shape", [y0(c)]), 0, axis, axis + 1),
			],
			0,
		);
	const resized = b.op(
		"Resize",
		bySize
			? [square, undefined, undefined, sizes()]
			: [square, undefined, scales()],
		attrs,
	);
	const [xs, ys] = [shapeOf(c, x0(c)), shapeOf(c, y0(c))];
	return b.assume(b.op("Squeeze", [resized, b.ints([0, 1])]), [
		xs[axis] as Dim,
		ys[axis] as Dim,
	]);
}

/** g A^T along one axis. */
function timesTransposed(
	b: GraphBuilder,
	g: Value,
	matrix: Value,
	axis: number,
): Value {
	const shape = g.shape ?? [];
	const last = shape.length - 1;
	if (axis === last - 1) return b.matmul(matrix, g);
	const perm = [...shape.keys()];
	[perm[axis], perm[last]] = [last, axis];
	const turned = axis === last ? g : b.transpose(g, perm);
	const product = b.op(
		"FusedMatMul",
		[turned, matrix],
		{ transB: 1 },
		"com.microsoft",
	);
	return axis === last ? product : b.transpose(product, perm);
}

/** A Resize is linear, and one axis at a time: dx = g A^T along each. */
const resize: Rule = (c) => {
	const { b, node } = c;
	if (
		stringAttr(node, "coordinate_transformation_mode", "half_pixel") ===
		"tf_crop_and_resize"
	)
		throw unsupported(c, "tf_crop_and_resize");
	if (
		node.inputs[3] &&
		stringAttr(node, "keep_aspect_ratio_policy", "stretch") !== "stretch"
	)
		throw unsupported(c, "a kept aspect ratio");
	const axes = resizedAxes(c);
	const plain = axes.filter((a) => repeats(c, a.factor));
	let g = plain.length ? sumRepeats(c, plain) : g0(c);
	for (const a of axes)
		if (!plain.includes(a)) g = timesTransposed(b, g, matrixOf(c, a), a.axis);
	return [retype(b, g, x0(c))];
};

/** Rules for operators that change the size of pictures. */
export const resizing = {
	Resize: resize,
	// In the order DCR a channel is (block row, block column, own channel): SpaceToDepth turns that back.
	// In the order CRD the block comes last.
	DepthToSpace: (c) => {
		const { b, node } = c;
		const blocksize = intAttr(node, "blocksize", 1);
		const back = b.op("SpaceToDepth", [g0(c)], { blocksize });
		if (stringAttr(node, "mode", "DCR") === "DCR")
			return [retype(b, back, x0(c))];
		const channels = shapeOf(c, y0(c))[1];
		if (typeof channels !== "number")
			throw unsupported(c, "the number of channels must be fixed");
		const flat = b.reshape(back, [0, blocksize ** 2, channels, -1]);
		return [reshapeLike(b, b.transpose(flat, [0, 2, 1, 3]), x0(c))];
	},
	SpaceToDepth: (c) => {
		const blocksize = intAttr(c.node, "blocksize", 1);
		const back = c.b.op("DepthToSpace", [g0(c)], { blocksize });
		return [retype(c.b, back, x0(c))];
	},
} satisfies Record<string, Rule>;
