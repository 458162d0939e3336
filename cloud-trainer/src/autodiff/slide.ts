import {
	type GraphBuilder,
	spanOf,
	type Value,
	type Window,
} from "@wattvox/onnx";
import { unsupported, type VjpContext } from "./vjp.ts";

/** @throws WattvoxError E_OP_UNSUPPORTED where a window depends on a size that only the run knows */
export function fixedWindows(
	c: VjpContext,
	windows: readonly (Window | undefined)[],
): Window[] {
	return windows.map((w) => {
		if (!w)
			throw unsupported(
				c,
				"its padding depends on a size that is not fixed, or combines SAME with a dilation: give it as pads",
			);
		return w;
	});
}

/** The windows as attributes. */
export const windowAttrs = (windows: readonly Window[]) => ({
	strides: windows.map((w) => w.stride),
	dilations: windows.map((w) => w.dilation),
	pads: [...windows.map((w) => w.before), ...windows.map((w) => w.after)],
});

/** Zeros around the spatial axes (axis 2 onwards); a negative number cuts. */
export function padSpatial(
	b: GraphBuilder,
	v: Value,
	before: readonly number[],
	after: readonly number[],
): Value {
	if ([...before, ...after].every((p) => p === 0)) return v;
	return b.op("Pad", [v, b.ints([0, 0, ...before, 0, 0, ...after])]);
}

/** A value reversed along some axes. */
export function reversed(
	b: GraphBuilder,
	v: Value,
	axes: readonly number[],
): Value {
	if (!axes.length) return v;
	return b.op("Slice", [
		v,
		b.ints(axes.map(() => -1)),
		b.ints(axes.map(() => -(2 ** 31))),
		b.ints(axes),
		b.ints(axes.map(() => -1)),
	]);
}

/**
 * The adjoint of sliding over `like`: spreads g back by a transposed convolution with w and cuts the
 * result to `like`'s spatial sizes. Elements behind the last window get zero.
 */
export function spread(
	b: GraphBuilder,
	g: Value,
	w: Value,
	windows: readonly Window[],
	group: number,
	like: Value,
): Value {
	const spatial = like.shape?.slice(2) ?? [];
	// What the last window leaves over, where the sizes tell.
	const rest = windows.map((win, i) => {
		const size = g.shape?.[i + 2];
		const reached =
			typeof size === "number"
				? (size - 1) * win.stride + spanOf(win) - win.before
				: undefined;
		const wanted = spatial[i];
		return typeof wanted === "number" && reached !== undefined
			? wanted - reached
			: undefined;
	});
	const exact = rest.every(
		(r, i) => r !== undefined && r < (windows[i]?.stride ?? 1),
	);
	const attrs = {
		group,
		strides: windows.map((win) => win.stride),
		dilations: windows.map((win) => win.dilation),
		pads: [
			...windows.map((win) => win.before),
			...rest.map((r) => (exact ? Math.max(0, -(r ?? 0)) : 0)),
		],
		output_padding: windows.map((win, i) =>
			exact ? Math.max(0, rest[i] ?? 0) : win.stride - 1,
		),
	};
	// ONNX Runtime's transposed convolution over one axis takes a slow path; over two it does not.
	const lift = windows.length === 1;
	const two = (v: Value) => (lift ? b.op("Unsqueeze", [v, b.ints([2])]) : v);
	const wide = lift
		? {
				...attrs,
				strides: [1, ...attrs.strides],
				dilations: [1, ...attrs.dilations],
				pads: [0, attrs.pads[0] ?? 0, 0, attrs.pads[1] ?? 0],
				output_padding: [0, ...attrs.output_padding],
			}
		: attrs;
	let out = b.op("ConvTranspose", [two(g), two(w)], wide);
	if (lift) out = b.op("Squeeze", [out, b.ints([2])]);
	if (exact) return out;
	const axes = b.ints(windows.map((_, i) => i + 2));
	const ends = b.slice(b.op("Shape", [like]), 0, 2);
	const cut = b.op("Slice", [out, b.ints(windows.map(() => 0)), ends, axes]);
	return b.assume(cut, [...(out.shape?.slice(0, 2) ?? []), ...spatial]);
}
