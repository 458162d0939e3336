import {
	type GraphBuilder,
	intAttr,
	spanOf,
	transposedWindowsOf,
	type Value,
	type Window,
	windowsOf,
} from "@wattvox/onnx";
import { type Convolution, kernelGradient } from "./kernel-gradient.ts";
import {
	fixedWindows,
	padSpatial,
	reversed,
	spread,
	windowAttrs,
} from "./slide.ts";
import {
	g0,
	input,
	type Rule,
	retype,
	shapeOf,
	unsupported,
	type VjpContext,
	x0,
} from "./vjp.ts";

function convolution(c: VjpContext, geometry: typeof windowsOf): Convolution {
	const weight = shapeOf(c, input(c, 1)).filter((d) => typeof d === "number");
	const sizes = shapeOf(c, x0(c)).slice(2);
	if (weight.length !== sizes.length + 2)
		throw unsupported(c, `the sizes of ${input(c, 1).name} must be fixed`);
	return {
		windows: fixedWindows(c, geometry(c.node, sizes, weight.slice(2))),
		group: intAttr(c.node, "group", 1),
		weight,
	};
}

/** w with its kernel reversed along every spatial axis. */
const flipped = (b: GraphBuilder, w: Value): Value =>
	reversed(
		b,
		w,
		(w.shape ?? []).flatMap((d, i) => (i > 1 && d !== 1 ? [i] : [])),
	);

/** w [g * I, O, K...] as [g * O, I, K...]: the kernel that leads from O back to I. */
function turned(b: GraphBuilder, w: Value, group: number): Value {
	const [outer = 1, inner = 1, ...kernel] = (w.shape ?? []) as number[];
	const rest = kernel.map((_, i) => i + 2);
	if (group === 1) return b.transpose(w, [1, 0, ...rest]);
	if (inner === 1 && outer === group) return w;
	const per = outer / group;
	const split = b.reshape(w, [group, per, inner, ...kernel]);
	const swapped = b.transpose(split, [0, 2, 1, ...rest.map((i) => i + 1)]);
	return b.reshape(swapped, [group * inner, per, ...kernel]);
}

/**
 * dx of a convolution. Stride 1: correlate g with the flipped kernel, whose padding is what the
 * kernel reaches beyond x: span - 1 - pads. Otherwise a transposed convolution.
 */
function convInput(c: VjpContext, { windows, group }: Convolution): Value {
	const { b } = c;
	const [x, w, g] = [x0(c), input(c, 1), g0(c)];
	if (windows.some((win) => win.stride !== 1))
		return spread(b, g, w, windows, group, x);
	const reach = (win: Window, pad: number) => spanOf(win) - 1 - pad;
	const before = windows.map((win) => reach(win, win.before));
	const after = windows.map((win) => reach(win, win.after));
	const below = (list: number[]) => list.map((p) => Math.min(0, p));
	const dx = b.op(
		"Conv",
		[
			padSpatial(b, g, below(before), below(after)),
			flipped(b, turned(b, w, group)),
		],
		{
			group,
			dilations: windows.map((win) => win.dilation),
			pads: [...before, ...after].map((p) => Math.max(0, p)),
		},
	);
	return retype(b, dx, x);
}

/** The sum over all but the channels. */
const overChannels = (c: VjpContext, g: Value): Value =>
	c.b.sum(
		g,
		[...shapeOf(c, x0(c)).keys()].filter((axis) => axis !== 1),
	);

/** Rules for convolutions over any number of axes. */
export const conv = {
	// y = w * x + b: dx = the adjoint of sliding, dw = sum over n, l of g[l] x[l s + k d - p], db = sum g
	Conv: (c) => {
		const shape = convolution(c, windowsOf);
		const dw = () => kernelGradient(c.b, g0(c), x0(c), shape);
		return [
			c.needs[0] ? convInput(c, shape) : undefined,
			c.needs[1] ? dw() : undefined,
			c.needs[2] ? overChannels(c, g0(c)) : undefined,
		];
	},
	// The adjoint of a convolution's: dx = w * g, dw as above with x and g in each other's place
	ConvTranspose: (c) => {
		const { b } = c;
		const shape = convolution(c, transposedWindowsOf);
		const { windows, group } = shape;
		const dx = () =>
			retype(
				b,
				b.op("Conv", [g0(c), input(c, 1)], {
					...windowAttrs(windows),
					group,
				}),
				x0(c),
			);
		const dw = () => kernelGradient(b, x0(c), g0(c), shape);
		return [
			c.needs[0] ? dx() : undefined,
			c.needs[1] ? dw() : undefined,
			c.needs[2] ? overChannels(c, g0(c)) : undefined,
		];
	},
} satisfies Record<string, Rule>;
