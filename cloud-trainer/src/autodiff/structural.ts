import {
	type Dim,
	intAttr,
	intsAttr,
	product,
	stringAttr,
	subDims,
	type Value,
} from "@wattvox/onnx";
import {
	expandLike,
	fromFront,
	g0,
	input,
	mask,
	type Rule,
	reshapeLike,
	retype,
	shapeOf,
	unsupported,
	type VjpContext,
	x0,
	y0,
} from "./vjp.ts";

const ints = (
	c: VjpContext,
	index: number,
	attr: string,
): number[] | undefined => {
	const tensor = c.constant(index);
	if (tensor)
		return Array.from(tensor.data as ArrayLike<number | bigint>, Number);
	return intsAttr(c.node, attr);
};

/** Like `ints`, for a setting that must not be computed at run time. */
function fixedInts(
	c: VjpContext,
	index: number,
	attr: string,
): number[] | undefined {
	const list = ints(c, index, attr);
	if (!list && c.inputs[index])
		throw unsupported(c, `${attr} that are computed`);
	return list;
}

/** Axes that a reduction folds, from the front; none when it leaves its input as it is. */
function reducedAxes(c: VjpContext): number[] {
	const rank = shapeOf(c, x0(c)).length;
	const given = fixedInts(c, 1, "axes");
	if (given?.length) return given.map((a) => fromFront(a, rank));
	const noop = intAttr(c.node, "noop_with_empty_axes", 0) === 1;
	return noop ? [] : [...Array(rank).keys()];
}

/** A reduction's cotangent (or output) with the reduced axes back as size 1. */
function keepAxes(c: VjpContext, v: Value): Value {
	if (intAttr(c.node, "keepdims", 1) === 1 || v.shape?.length === 0) return v;
	const axes = reducedAxes(c).sort((a, b) => a - b);
	return axes.length ? c.b.op("Unsqueeze", [v, c.b.ints(axes)]) : v;
}

/** How many inputs go into one output of a reduction, as a value to divide by. */
function countOf(c: VjpContext): Value {
	const [x, y] = [x0(c), y0(c)];
	const [nx, ny] = [product(x.shape ?? ["?"]), product(y.shape ?? ["?"])];
	if (nx !== undefined && ny !== undefined) return c.b.scalar(nx / ny);
	const size = (v: Value) => c.b.cast(c.b.op("Size", [v]), "float32");
	return c.b.div(size(x), size(y));
}

/** Ties share the cotangent equally. */
const reduceExtremum: Rule = (c) => {
	const { b } = c;
	const axes = reducedAxes(c);
	if (!axes.length) return [g0(c)];
	const hit = mask(b, b.op("Equal", [x0(c), keepAxes(c, y0(c))]));
	return [b.mul(hit, b.div(keepAxes(c, g0(c)), b.sum(hit, axes, 1)))];
};

/** A Concat's cotangent cut into pieces of the inputs' sizes, which the graph reads off when it runs. */
function splitAsInputs(c: VjpContext, axis: number): (Value | undefined)[] {
	const { b } = c;
	const sizes = c.inputs.map((_, i) =>
		b.slice(b.op("Shape", [input(c, i)]), 0, axis, axis + 1),
	);
	return b
		.ops("Split", [g0(c), b.concat(sizes, 0)], sizes.length, { axis })
		.map((part, i) => retype(b, part, input(c, i)));
}

const like: Rule = (c) => [reshapeLike(c.b, g0(c), x0(c))];

/** Rules for operators that move, copy, sum or choose elements. */
export const structural = {
	Reshape: like,
	Flatten: like,
	Squeeze: like,
	Unsqueeze: like,
	Transpose: (c) => {
		const rank = shapeOf(c, x0(c)).length;
		const perm = intsAttr(c.node, "perm") ?? [...Array(rank).keys()].reverse();
		const inverse = perm.map((_, i) => perm.indexOf(i));
		return [c.b.transpose(g0(c), inverse)];
	},
	ReduceSum: (c) => [expandLike(c.b, keepAxes(c, g0(c)), x0(c))],
	ReduceMean: (c) => [
		expandLike(c.b, c.b.div(keepAxes(c, g0(c)), countOf(c)), x0(c)),
	],
	// y = sum x^2: dx = 2 g x
	ReduceSumSquare: (c) => {
		// What an operator does that folds nothing changed between opsets.
		if (!reducedAxes(c).length && shapeOf(c, x0(c)).length)
			throw unsupported(c, "no axes");
		return [c.b.mul(x0(c), c.b.affine(keepAxes(c, g0(c)), 2))];
	},
	ReduceMax: reduceExtremum,
	ReduceMin: reduceExtremum,
	Concat: (c) => {
		const axis = fromFront(
			intAttr(c.node, "axis", 0),
			shapeOf(c, y0(c)).length,
		);
		const sizes = c.inputs.map((v) => v?.shape?.[axis] as Dim);
		const at = sizes.findIndex((d) => typeof d !== "number");
		// Two open sizes: only the run knows where one ends.
		if (at >= 0 && sizes.some((d, i) => i > at && typeof d !== "number"))
			return splitAsInputs(c, axis);
		// From the front until the open one, from the back after it.
		const total = (list: Dim[]) =>
			list.reduce<number>((s, d) => s + Number(d), 0);
		return c.inputs.map((v, i) => {
			if (!v || !c.needs[i]) return undefined;
			const before = total(sizes.slice(0, i));
			const after = total(sizes.slice(i + 1));
			const size = Number(sizes[i]);
			const part =
				at < 0 || i < at
					? c.b.slice(g0(c), axis, before, before + size)
					: c.b.slice(
							g0(c),
							axis,
							i === at ? before : -after - size,
							after ? -after : undefined,
						);
			return retype(c.b, part, v);
		});
	},
	Split: (c) => {
		const axis = intAttr(c.node, "axis", 0);
		const parts = c.outputs.map((y, i) => {
			if (!y) throw unsupported(c, "an output that is left out");
			return c.grads[i] ?? c.b.op("ConstantOfShape", [c.b.op("Shape", [y])]);
		});
		return [retype(c.b, c.b.concat(parts, axis), x0(c))];
	},
	// The cotangent goes back between zeros.
	Slice: (c) => {
		const { b } = c;
		const [x, y] = [x0(c), y0(c)];
		const [xs, ys] = [shapeOf(c, x), shapeOf(c, y)];
		const starts = fixedInts(c, 1, "starts");
		if (!starts) throw unsupported(c, "no starts");
		const axes = (fixedInts(c, 3, "axes") ?? starts.map((_, i) => i)).map((a) =>
			fromFront(a, xs.length),
		);
		if (fixedInts(c, 4, "steps")?.some((s) => s !== 1))
			throw unsupported(c, "steps other than 1");
		const before = new Array<number>(xs.length).fill(0);
		const after = new Array<number>(xs.length).fill(0);
		axes.forEach((axis, i) => {
			const cut = subDims(xs[axis] as Dim, ys[axis] as Dim);
			const d = xs[axis];
			let start = starts[i] ?? 0;
			if (cut === undefined) throw unsupported(c, "a size that is unknown");
			if (start < 0) {
				if (typeof d === "number") start = Math.max(0, d + start);
				else start = cut;
			}
			before[axis] = Math.min(start, cut);
			after[axis] = cut - (before[axis] ?? 0);
		});
		return [retype(b, b.op("Pad", [g0(c), b.ints([...before, ...after])]), x)];
	},
	Pad: (c) => {
		if (stringAttr(c.node, "mode", "constant") !== "constant")
			throw unsupported(c, "modes other than constant");
		if (c.needs[2]) throw unsupported(c, "a filling that is trained");
		const pads = fixedInts(c, 1, "pads");
		if (!pads) throw unsupported(c, "no pads");
		const rank = shapeOf(c, x0(c)).length;
		const axes = fixedInts(c, 3, "axes") ?? [...Array(rank).keys()];
		let g = g0(c);
		axes.forEach((raw, i) => {
			const [before, after] = [pads[i] ?? 0, pads[i + axes.length] ?? 0];
			if (before < 0 || after < 0) throw unsupported(c, "negative pads");
			if (before || after)
				g = c.b.slice(
					g,
					fromFront(raw, rank),
					before,
					after ? -after : undefined,
				);
		});
		return [retype(c.b, g, x0(c))];
	},
	// Duplicate indices add up, so the rows go back through a one-hot product: ScatterND(add) is wrong
	// with more than one thread on the CPU provider.
	Gather: (c) => {
		const { b } = c;
		const [table, indices] = [x0(c), input(c, 1)];
		const shape = shapeOf(c, table);
		const [size, width] = shape;
		if (
			intAttr(c.node, "axis", 0) !== 0 ||
			shape.length !== 2 ||
			typeof size !== "number" ||
			typeof width !== "number"
		)
			throw unsupported(c, "anything but rows of a fixed [N, D] table");
		const flat = b.reshape(indices, [-1]);
		const hot = b.op("OneHot", [
			flat,
			b.constant({
				dtype: "int64",
				dims: [],
				data: BigInt64Array.of(BigInt(size)),
			}),
			b.constant({ dtype: "float32", dims: [2], data: Float32Array.of(0, 1) }),
		]);
		return [b.op("Gemm", [hot, b.reshape(g0(c), [-1, width])], { transA: 1 })];
	},
} satisfies Record<string, Rule>;
