import {
	floats,
	type GraphBuilder,
	int64s,
	intAttr,
	intsAttr,
	product,
	sameShape,
	type Value,
	type Window,
	windowsOf,
} from "@wattvox/onnx";
import { fixedWindows, spread, windowAttrs } from "./slide.ts";
import {
	expandLike,
	g0,
	mask,
	type Rule,
	reshapeLike,
	shapeOf,
	unsupported,
	type VjpContext,
	x0,
	y0,
} from "./vjp.ts";

function poolWindows(c: VjpContext): Window[] {
	const kernel = intsAttr(c.node, "kernel_shape") ?? [];
	const sizes = shapeOf(c, x0(c)).slice(2);
	return fixedWindows(c, windowsOf(c.node, sizes, kernel));
}

/** [N, C, ...] as [N C, 1, ...]: every channel by itself. */
const channelsApart = (b: GraphBuilder, v: Value): Value =>
	b.reshape(v, [-1, 1, ...(v.shape ?? []).slice(2).map(() => 0)]);

/** A kernel [M, 1, K...] from its elements. */
const kernelOf = (
	b: GraphBuilder,
	m: number,
	windows: readonly Window[],
	at: (i: number) => number,
): Value => {
	const sizes = windows.map((w) => w.kernel);
	const dims = [m, 1, ...sizes];
	return b.constant(
		floats(
			Float32Array.from({ length: product(dims) ?? 0 }, (_, i) => at(i)),
			dims,
		),
	);
};

/** `v` cut to the spatial sizes of `like`, where the types do not tell that it has them. */
function cutTo(b: GraphBuilder, v: Value, like: Value): Value {
	if (sameShape(v.shape?.slice(2), like.shape?.slice(2))) return v;
	const rank = like.shape?.length ?? 2;
	const axes = Array.from({ length: rank - 2 }, (_, i) => i + 2);
	return b.op("Slice", [
		v,
		b.ints(axes.map(() => 0)),
		b.slice(b.op("Shape", [like]), 0, 2),
		b.ints(axes),
	]);
}

/**
 * By how many elements each window's sum was divided. Those are all of a window, unless padding does
 * not count or ceil_mode lets a window reach beyond it: then a convolution of ones counts them.
 */
function counted(c: VjpContext, windows: readonly Window[]): Value {
	const { b, node } = c;
	const ceil = intAttr(node, "ceil_mode", 0) === 1;
	const includePads = intAttr(node, "count_include_pad", 0) === 1;
	const padded = windows.some((w) => w.before || w.after);
	if (!ceil && (includePads || !padded))
		return b.scalar(product(windows.map((w) => w.kernel)) ?? 1);
	const inside = windows.map((w) => (includePads ? w.before + w.after : 0));
	const sizes = b.op("Add", [
		b.slice(b.op("Shape", [x0(c)]), 0, 2),
		b.ints(inside),
	]);
	const ones = b.op("ConstantOfShape", [b.concat([b.ints([1, 1]), sizes], 0)], {
		value: { kind: "tensor", value: floats([1]) },
	});
	const counts = b.op("Conv", [ones, kernelOf(b, 1, windows, () => 1)], {
		...windowAttrs(
			windows.map((w) => ({
				...w,
				before: includePads ? 0 : w.before,
				after: (includePads ? 0 : w.after) + (ceil ? w.stride - 1 : 0),
			})),
		),
	});
	return cutTo(b, counts, g0(c));
}

/**
 * Which element of its window each maximum is, as a mask [N C, K, L...] in the order of the kernel.
 * ONNX Runtime's second output numbers the elements of the whole input; within a channel, less the
 * number of the window's first element, that is a tap's own offset.
 */
function winners(c: VjpContext, windows: readonly Window[]): Value {
	const { b, node } = c;
	if (intAttr(node, "storage_order", 0) !== 0)
		throw unsupported(c, "indices in column-major order");
	const [, indices] = b.extend(node, 2) as [Value, Value];
	const spatial = b.slice(b.op("Shape", [x0(c)]), 0, 2);
	const out = b.slice(b.op("Shape", [indices]), 0, 2);
	const rank = windows.length;
	const at = (list: Value, i: number) =>
		b.reshape(b.slice(list, 0, i, i + 1), []);
	const whole = (n: number) => b.constant(int64s([n], []));
	// How far apart two neighbours along each axis stand in memory.
	const steps: Value[] = [];
	let step = whole(1);
	for (let i = rank - 1; i >= 0; i--) {
		steps[i] = step;
		step = b.mul(step, at(spatial, i));
	}
	let first: Value | undefined;
	let offsets: Value | undefined;
	const kernels = windows.map((w) => w.kernel);
	windows.forEach((w, i) => {
		const range = b.op("Range", [whole(0), at(out, i), whole(1)]);
		const starts = b.mul(
			b.sub(b.mul(range, whole(w.stride)), whole(w.before)),
			steps[i] as Value,
		);
		const along = b.reshape(starts, [-1, ...Array(rank - 1 - i).fill(1)]);
		first = first ? b.add(first, along) : along;
		const inner = product(kernels.slice(i + 1)) ?? 1;
		const reach = Array.from(
			{ length: product(kernels) ?? 1 },
			(_, k) => (Math.floor(k / inner) % w.kernel) * w.dilation,
		);
		const tap = b.mul(
			b.constant(int64s(reach, [reach.length, ...Array(rank).fill(1)])),
			steps[i] as Value,
		);
		offsets = offsets ? b.add(offsets, tap) : tap;
	});
	const within = b.op("Mod", [indices, step]);
	const own = b.sub(channelsApart(b, within), first as Value);
	return b.op("Equal", [own, offsets as Value]);
}

/** Rules for pools. */
export const pool = {
	// y = sum over the window / count: dx = the adjoint of sliding a kernel of ones, of g / count
	AveragePool: (c) => {
		const { b } = c;
		const windows = poolWindows(c);
		const share = b.div(g0(c), counted(c, windows));
		const ones = kernelOf(b, 1, windows, () => 1);
		const back = spread(b, channelsApart(b, share), ones, windows, 1, x0(c));
		return [reshapeLike(b, back, x0(c))];
	},
	// Each window's cotangent goes to the element that it took: of several that tie, to the first. As
	// one channel per tap and a kernel that puts every channel where its tap is, windows may overlap.
	MaxPool: (c) => {
		const { b } = c;
		const windows = poolWindows(c);
		const taken = b.op("Where", [
			winners(c, windows),
			channelsApart(b, g0(c)),
			b.scalar(0),
		]);
		const taps = product(windows.map((w) => w.kernel)) ?? 1;
		const place = kernelOf(b, taps, windows, (i) =>
			Math.floor(i / taps) === i % taps ? 1 : 0,
		);
		return [reshapeLike(b, spread(b, taken, place, windows, 1, x0(c)), x0(c))];
	},
	GlobalAveragePool: (c) => {
		const { b } = c;
		const x = x0(c);
		const known = product(shapeOf(c, x).slice(2));
		const count =
			known === undefined
				? b.cast(
						b.op("ReduceProd", [b.slice(b.op("Shape", [x]), 0, 2)], {
							keepdims: 0,
						}),
						"float32",
					)
				: b.scalar(known);
		return [expandLike(b, b.div(g0(c), count), x)];
	},
	// Ties share the cotangent.
	GlobalMaxPool: (c) => {
		const { b } = c;
		const hit = mask(b, b.op("Equal", [x0(c), y0(c)]));
		const axes = [...shapeOf(c, x0(c)).keys()].slice(2);
		return [b.mul(hit, b.div(g0(c), b.sum(hit, axes, 1)))];
	},
} satisfies Record<string, Rule>;
