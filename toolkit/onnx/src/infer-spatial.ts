import { addDim, floorDivDim, freshDim, mulDim } from "./dims.ts";
import {
	axisOf,
	constInts,
	dimsGiven,
	type InferContext,
	type Rule,
	shape0,
	type0,
} from "./infer-context.ts";
import { fit } from "./infer-linear.ts";
import {
	type Dim,
	intAttr,
	intsAttr,
	stringAttr,
	type ValueType,
} from "./types.ts";
import {
	slidSize,
	transposedSize,
	transposedWindowsOf,
	windowsOf,
} from "./windows.ts";

/** Sizes of the spatial axes of a kernel, or undefined where one is not known. */
const kernelOf = (w: readonly Dim[]): number[] | undefined => {
	const sizes = w.slice(2).filter((d) => typeof d === "number");
	return sizes.length === w.length - 2 ? sizes : undefined;
};

/** What is known of a size where the window is not: SAME gives ceil(size / stride). */
function sizeWithoutWindow(c: InferContext, size: Dim, axis: number): Dim {
	const stride = intsAttr(c.node, "strides")?.[axis] ?? 1;
	return (intsAttr(c.node, "dilations")?.[axis] ?? 1) === 1
		? floorDivDim(addDim(size, stride - 1), stride)
		: freshDim();
}

const conv: Rule = (c) => {
	const { dtype } = type0(c);
	const [x, w] = [shape0(c), c.types[1]?.shape];
	if (!x || !w) return [{ dtype, shape: undefined }];
	if (typeof w[1] === "number") fit(x[1], w[1] * intAttr(c.node, "group", 1));
	const sizes = x.slice(2);
	const kernel = kernelOf(w);
	const windows = kernel && windowsOf(c.node, sizes, kernel);
	const spatial = sizes.map((d, i) => {
		const win = windows?.[i];
		if (win) return slidSize(d, win);
		return kernel ? sizeWithoutWindow(c, d, i) : freshDim();
	});
	return [{ dtype, shape: [x[0] as Dim, w[0] as Dim, ...spatial] }];
};

const convTranspose: Rule = (c) => {
	const { dtype } = type0(c);
	const [x, w] = [shape0(c), c.types[1]?.shape];
	if (!x || !w) return [{ dtype, shape: undefined }];
	fit(x[1], w[0]);
	const kernel = kernelOf(w);
	const sizes = x.slice(2);
	const windows = kernel && transposedWindowsOf(c.node, sizes, kernel);
	const wanted = intsAttr(c.node, "output_shape");
	const spatial = sizes.map((d, i): Dim => {
		if (wanted) return wanted[i + wanted.length - sizes.length] as Dim;
		const win = windows?.[i];
		return win ? transposedSize(d, win) : freshDim();
	});
	const channels = mulDim(w[1] as Dim, intAttr(c.node, "group", 1));
	return [{ dtype, shape: [x[0] as Dim, channels, ...spatial] }];
};

const pool: Rule = (c) => {
	const { dtype } = type0(c);
	const x = shape0(c);
	const kernel = intsAttr(c.node, "kernel_shape") ?? [];
	const ceil = intAttr(c.node, "ceil_mode", 0) === 1;
	const sizes = x?.slice(2);
	const windows = sizes && windowsOf(c.node, sizes, kernel);
	const spatial = sizes?.map((d, i) => {
		const win = windows?.[i];
		return win ? slidSize(d, win, ceil) : sizeWithoutWindow(c, d, i);
	});
	const shape = x && spatial && [x[0] as Dim, x[1] as Dim, ...spatial];
	const types: ValueType[] = [{ dtype, shape }];
	if (c.node.op === "MaxPool") types.push({ dtype: "int64", shape });
	return types;
};

const globalPool: Rule = (c) => {
	const { dtype } = type0(c);
	return [{ dtype, shape: shape0(c)?.map((d, i) => (i < 2 ? d : 1)) }];
};

/** A size times a factor, rounded down. */
function scaled(d: Dim, by: number): Dim {
	if (typeof d === "number") return Math.floor(d * by);
	if (Number.isInteger(by)) return mulDim(d, by);
	return Number.isInteger(1 / by) ? floorDivDim(d, 1 / by) : freshDim();
}

const resize: Rule = (c) => {
	const { dtype } = type0(c);
	const x = shape0(c);
	if (!x) return [{ dtype, shape: undefined }];
	const axes = (intsAttr(c.node, "axes") ?? [...x.keys()]).map((a) =>
		axisOf(a, x.length),
	);
	const list = (i: number): number[] | undefined => {
		const data = c.consts[i]?.data as ArrayLike<number | bigint> | undefined;
		return data?.length ? Array.from(data, Number) : undefined;
	};
	const [factors, sizes] = [list(2), list(3)];
	// With an aspect ratio kept, sizes are bounds and not what comes out.
	const bound =
		stringAttr(c.node, "keep_aspect_ratio_policy", "stretch") !== "stretch";
	const crops =
		stringAttr(c.node, "coordinate_transformation_mode", "half_pixel") ===
		"tf_crop_and_resize";
	const shape = [...x];
	axes.forEach((axis, i) => {
		const [factor, size] = [factors?.[i], sizes?.[i]];
		if (size !== undefined && !bound) shape[axis] = size;
		else if (factor !== undefined && !crops)
			shape[axis] = scaled(x[axis] as Dim, factor);
		else shape[axis] = freshDim();
	});
	return [{ dtype, shape }];
};

const blocks =
	(deeper: boolean): Rule =>
	(c) => {
		const { dtype } = type0(c);
		const x = shape0(c);
		if (x?.length !== 4) return [{ dtype, shape: undefined }];
		const b = intAttr(c.node, "blocksize", 1);
		const [n, ch, h, w] = x as [Dim, Dim, Dim, Dim];
		const [up, down] = deeper ? [floorDivDim, mulDim] : [mulDim, floorDivDim];
		return [{ dtype, shape: [n, down(ch, b * b), up(h, b), up(w, b)] }];
	};

/** Channels of the picture, places of the grid. */
const gridSample: Rule = (c) => {
	const { dtype } = type0(c);
	const [x, grid] = [shape0(c), c.types[1]?.shape];
	const shape = x && grid && [...x.slice(0, 2), ...grid.slice(1, -1)];
	return [{ dtype, shape }];
};

const col2Im: Rule = (c) => {
	const { dtype } = type0(c);
	const x = shape0(c);
	const [image, block] = [dimsGiven(c, 1, ""), constInts(c, 2, "")];
	if (!x || !image || !block) return [{ dtype, shape: undefined }];
	const each = block.reduce((a, n) => a * n, 1);
	const spatial = image.map((d) => d ?? freshDim());
	return [
		{ dtype, shape: [x[0] as Dim, floorDivDim(x[1] as Dim, each), ...spatial] },
	];
};

/** Convolutions, pools and operators that change the size of pictures. */
export const spatialRules: Record<string, Rule> = {
	Conv: conv,
	ConvTranspose: convTranspose,
	AveragePool: pool,
	MaxPool: pool,
	GlobalAveragePool: globalPool,
	GlobalMaxPool: globalPool,
	Resize: resize,
	DepthToSpace: blocks(false),
	SpaceToDepth: blocks(true),
	STFT: (c) => {
		const { dtype } = type0(c);
		const [x, step] = [shape0(c), constInts(c, 1, "")?.[0]];
		const n = constInts(c, 3, "")?.[0] ?? c.types[2]?.shape?.[0];
		if (!x || typeof n !== "number") return [{ dtype, shape: undefined }];
		const bins = intAttr(c.node, "onesided", 1) ? Math.floor(n / 2) + 1 : n;
		const frames = step
			? addDim(floorDivDim(addDim(x[1] as Dim, -n), step), 1)
			: freshDim();
		return [{ dtype, shape: [x[0] as Dim, frames, bins, 2] }];
	},
	GridSample: gridSample,
	Col2Im: col2Im,
};
