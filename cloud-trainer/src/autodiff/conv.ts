import {
	type GraphBuilder,
	intAttr,
	spanOf,
	transposedWindowsOf,
	type Value,
	type Window,
	windowsOf,
} from "@wattvox/onnx";
import { fixedWindows, padSpatial, spread, windowAttrs } from "./slide.ts";
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

/** What the two convolutions have in common: windows over the spatial axes of x, and a kernel. */
interface Convolution {
	windows: Window[];
	group: number;
	/** Sizes of w: [M, C/group, kernel...], or [C, M/group, kernel...] when transposed. */
	weight: number[];
}

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
function flipped(b: GraphBuilder, w: Value): Value {
	const axes = (w.shape ?? []).flatMap((d, i) => (i > 1 && d !== 1 ? [i] : []));
	if (!axes.length) return w;
	return b.op("Slice", [
		w,
		b.ints(axes.map(() => -1)),
		b.ints(axes.map(() => -(2 ** 31))),
		b.ints(axes),
		b.ints(axes.map(() => -1)),
	]);
}

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

/** Every position in a kernel, the last axis fastest. */
const taps = (kernel: readonly number[]): number[][] =>
	kernel.reduce<number[][]>(
		(all, size) =>
			all.flatMap((tap) => Array.from({ length: size }, (_, i) => [...tap, i])),
		[[]],
	);

/** What each tap of a kernel sees of `wide`, [N, O, L...]. */
function seenByTaps(
	b: GraphBuilder,
	wide: Value,
	windows: readonly Window[],
): Value[] {
	const axes = b.ints(windows.map((_, i) => i + 2));
	const strides = windows.map((w) => w.stride);
	const strided = strides.some((s) => s !== 1);
	return taps(windows.map((w) => w.kernel)).map((tap) => {
		const starts = windows.map((w, i) => w.dilation * (tap[i] ?? 0));
		// Where the tap looks last, counted from the end; 0 for the end itself.
		const tails = windows.map(
			(w, i) => (starts[i] ?? 0) - w.dilation * (w.kernel - 1) - w.extra,
		);
		if (!strided && [...starts, ...tails].every((v) => v === 0)) return wide;
		return b.op("Slice", [
			wide,
			b.ints(starts),
			b.ints(tails.map((t) => t || 2 ** 31 - 1)),
			axes,
			strided ? b.ints(strides) : undefined,
		]);
	});
}

/**
 * The gradient of a kernel, tap by tap: the product of `narrow` [N, I, L...] with what each tap sees of
 * `wide` [N, O, ...], summed over examples and positions. Returns [I, O/group, K...].
 * One product per tap is 2 to 5 times as fast on ONNX Runtime's CPU provider as a convolution with the
 * batch as channels. With few channels it is one product of all taps side by side, 3 to 6 times as fast
 * as many thin ones.
 */
function kernelGradient(
	b: GraphBuilder,
	narrow: Value,
	wide: Value,
	{ windows, group, weight }: Convolution,
): Value {
	const [outer = 1, inner = 1] = weight;
	const line = windows.length === 1;
	const rows = (v: Value, channels: number) => {
		if (group > 1) return b.reshape(v, [0, group, channels / group, -1]);
		return line ? v : b.reshape(v, [0, channels, -1]);
	};
	// Where channels do not mix, no product is needed.
	const apart = inner === 1 && outer === group;
	const left = apart ? narrow : rows(narrow, outer);
	const times = (right: Value) =>
		b.op("FusedMatMul", [left, right], { transB: 1 }, "com.microsoft");
	const seen = seenByTaps(b, wide, windows);
	const few = group === 1 && inner < 8 && outer >= 4 * inner;
	if (few && seen.length > 1) {
		const beside = rows(b.concat(seen, 1), inner * seen.length);
		const all = b.sum(times(beside), [0]);
		const byTap = b.reshape(all, [outer, seen.length, inner]);
		return b.reshape(b.transpose(byTap, [0, 2, 1]), weight);
	}
	const over = [0, ...windows.map((_, i) => i + 2)];
	const columns = seen.map((v) =>
		b.op("Unsqueeze", [
			apart ? b.sum(b.mul(left, v), over) : times(rows(v, inner * group)),
			b.ints([-1]),
		]),
	);
	// One sum over the examples for all taps: many small ones cost more than their arithmetic. No Transpose
	// here: ONNX Runtime moves those about, and what it moves is computed late, its operands kept till then.
	const side = b.concat(columns, -1);
	return b.reshape(apart ? side : b.sum(side, [0]), weight);
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
		const { windows } = shape;
		const dw = () =>
			kernelGradient(
				c.b,
				g0(c),
				padSpatial(
					c.b,
					x0(c),
					windows.map((w) => w.before),
					windows.map((w) => w.after),
				),
				shape,
			);
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
		const before = windows.map((w) => w.before);
		const dx = () =>
			retype(
				b,
				b.op("Conv", [g0(c), input(c, 1)], {
					...windowAttrs(windows),
					group,
				}),
				x0(c),
			);
		const dw = () =>
			kernelGradient(
				b,
				x0(c),
				padSpatial(
					b,
					g0(c),
					before,
					windows.map((w) => w.after),
				),
				shape,
			);
		return [
			c.needs[0] ? dx() : undefined,
			c.needs[1] ? dw() : undefined,
			c.needs[2] ? overChannels(c, g0(c)) : undefined,
		];
	},
} satisfies Record<string, Rule>;
