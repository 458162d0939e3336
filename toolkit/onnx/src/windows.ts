import { addDim, floorDivDim, freshDim, mulDim } from "./dims.ts";
import { type Dim, intsAttr, type Node, stringAttr } from "./types.ts";

/** How an operator slides over one axis. */
export interface Window {
	kernel: number;
	stride: number;
	dilation: number;
	/** Zeros before the first and after the last element; what a transposed operator cuts off instead. */
	before: number;
	after: number;
	/** A transposed operator's additional elements at the end (output_padding). */
	extra: number;
}

/** How many elements a window spans. */
export const spanOf = (w: Window): number => w.dilation * (w.kernel - 1) + 1;

/** A window without its padding. */
function bare(node: Node, kernel: number, axis: number): Window {
	const at = (name: string, fallback: number): number =>
		intsAttr(node, name)?.[axis] ?? fallback;
	return {
		kernel,
		stride: at("strides", 1),
		dilation: at("dilations", 1),
		before: 0,
		after: 0,
		extra: at("output_padding", 0),
	};
}

/** `w` with so much padding in all, the odd element after (or before) the values. */
const padded = (w: Window, total: number, oddBefore: boolean): Window => {
	const half = Math.floor(total / 2);
	return oddBefore
		? { ...w, before: total - half, after: half }
		: { ...w, before: half, after: total - half };
};

/** `w` with the padding that the attribute `pads` gives. */
function givenPads(node: Node, w: Window, axis: number, rank: number): Window {
	const pads = intsAttr(node, "pads");
	return {
		...w,
		before: pads?.[axis] ?? 0,
		after: pads?.[axis + rank] ?? 0,
	};
}

/**
 * The windows of a convolution or a pool over spatial axes of these sizes. Undefined for an axis whose
 * padding depends on a size that is a symbol (`auto_pad` SAME with a stride), or that ONNX Runtime does
 * not run as the standard says (SAME with a dilation).
 */
export function windowsOf(
	node: Node,
	sizes: readonly Dim[],
	kernel: readonly number[],
): (Window | undefined)[] {
	const auto = stringAttr(node, "auto_pad", "NOTSET");
	return sizes.map((size, axis) => {
		const w = bare(node, kernel[axis] ?? 1, axis);
		if (auto === "VALID") return w;
		if (!auto.startsWith("SAME")) return givenPads(node, w, axis, sizes.length);
		if (w.dilation !== 1) return undefined;
		const lower = auto === "SAME_LOWER";
		// With a stride of 1 the padding makes up for the kernel, whatever the size.
		if (w.stride === 1) return padded(w, w.kernel - 1, lower);
		if (typeof size !== "number") return undefined;
		const reached = (Math.ceil(size / w.stride) - 1) * w.stride + w.kernel;
		return padded(w, Math.max(0, reached - size), lower);
	});
}

/**
 * The windows of a transposed convolution. Undefined for an axis whose padding depends on a size that
 * is a symbol (`output_shape`).
 */
export function transposedWindowsOf(
	node: Node,
	sizes: readonly Dim[],
	kernel: readonly number[],
): (Window | undefined)[] {
	const auto = stringAttr(node, "auto_pad", "NOTSET");
	const wanted = intsAttr(node, "output_shape");
	return sizes.map((size, axis) => {
		const w = bare(node, kernel[axis] ?? 1, axis);
		if (wanted) {
			// The attribute may name all axes or the spatial ones.
			const out = wanted[axis + wanted.length - sizes.length] ?? 0;
			if (typeof size !== "number") return undefined;
			const total = transposedSize(size, w) as number;
			return padded(w, total - out, auto !== "SAME_UPPER");
		}
		if (auto === "VALID") return w;
		if (!auto.startsWith("SAME")) return givenPads(node, w, axis, sizes.length);
		const total = spanOf(w) + w.extra - w.stride;
		return padded(w, Math.max(0, total), auto === "SAME_LOWER");
	});
}

/** Size after sliding: floor((size + pads - span) / stride) + 1. */
export function slidSize(size: Dim, w: Window, ceil = false): Dim {
	const room = addDim(size, w.before + w.after - spanOf(w));
	if (!ceil || w.stride === 1) return addDim(floorDivDim(room, w.stride), 1);
	if (typeof room !== "number" || typeof size !== "number") return freshDim();
	const count = Math.ceil(room / w.stride) + 1;
	// The last window must start on a value or before the first.
	return (count - 1) * w.stride >= size + w.before ? count - 1 : count;
}

/** Size after a transposed slide: stride (size - 1) + span + extra - pads. */
export const transposedSize = (size: Dim, w: Window): Dim =>
	addDim(
		mulDim(addDim(size, -1), w.stride),
		spanOf(w) + w.extra - w.before - w.after,
	);
