import {
	floats,
	type GraphBuilder,
	intAttr,
	stringAttr,
	type Value,
} from "@wattvox/onnx";
import {
	input,
	type Rule,
	shapeOf,
	unsupported,
	type VjpContext,
	x0,
} from "./vjp.ts";

/** One spatial axis: its size as a float, and where the samples lie along it, in elements. */
interface Axis {
	size: Value;
	last: Value;
	at: Value;
}
/** What an axis gives to one neighbour: its index, and the weight of what stands there. */
interface Neighbour {
	index: Value;
	weight: Value | undefined;
}

type Padding = "zeros" | "border" | "reflection";

/** Positions from -1 to 1 as elements: the ends are the outer elements' centres, or their borders. */
function axisOf(c: VjpContext, b: GraphBuilder, i: number, n: number): Axis {
	const sizes = b.slice(b.op("Shape", [x0(c)]), 0, i + 2, i + 3);
	const size = b.cast(sizes, "float32");
	const last = b.affine(size, 1, -1);
	// The grid names the last axis first.
	const own = b.slice(input(c, 1), -1, n - 1 - i, n - i);
	const from0 = b.affine(b.reshape(own, [0, -1]), 0.5, 0.5);
	const at = intAttr(c.node, "align_corners", 0)
		? b.mul(from0, last)
		: b.affine(b.mul(from0, size), 1, -0.5);
	return { size, last, at };
}

const clamped = (b: GraphBuilder, v: Value, last: Value): Value =>
	b.op("Min", [b.op("Max", [v, b.scalar(0)]), last]);

/** Mirrored at the ends as often as it takes: |v - low| modulo twice the span, folded, then clamped. */
function reflected(c: VjpContext, b: GraphBuilder, v: Value, a: Axis): Value {
	const aligned = intAttr(c.node, "align_corners", 0) === 1;
	const low = aligned ? 0 : -0.5;
	// With one element there is nothing to mirror: any span will do, since all is clamped.
	const span = aligned ? b.op("Max", [a.last, b.scalar(1)]) : a.size;
	const away = b.op("Abs", [b.affine(v, 1, -low)]);
	const within = b.op("Mod", [away, b.affine(span, 2)], { fmod: 1 });
	const folded = b.sub(span, b.op("Abs", [b.sub(within, span)]));
	return clamped(b, b.affine(folded, 1, low), a.last);
}

/** A position with its padding: as it is for zeros, which are in the weights. */
function padded(
	c: VjpContext,
	b: GraphBuilder,
	v: Value,
	a: Axis,
	padding: Padding,
): Value {
	if (padding === "zeros") return v;
	return padding === "border" ? clamped(b, v, a.last) : reflected(c, b, v, a);
}

/** Keys' cubic kernel with a = -0.75 at the distances 1 + t, t, 1 - t and 2 - t. */
function cubicWeights(b: GraphBuilder, t: Value): Value[] {
	const a = -0.75;
	// ((a + 2) d - (a + 3)) d d + 1 up to a distance of 1, ((a d - 5 a) d + 8 a) d - 4 a beyond.
	const near = (d: Value) =>
		b.affine(b.mul(b.mul(b.affine(d, a + 2, -(a + 3)), d), d), 1, 1);
	const far = (d: Value) => {
		const inner = b.affine(b.mul(b.affine(d, a, -5 * a), d), 1, 8 * a);
		return b.affine(b.mul(inner, d), 1, -4 * a);
	};
	const rest = b.affine(t, -1, 1);
	return [
		far(b.affine(t, 1, 1)),
		near(t),
		near(rest),
		far(b.affine(rest, 1, 1)),
	];
}

/** The elements around the samples along one axis, with their weights. */
function neighbours(
	c: VjpContext,
	b: GraphBuilder,
	a: Axis,
	mode: string,
	padding: Padding,
): Neighbour[] {
	const cubic = mode.endsWith("cubic");
	// The cubic kernel looks at padded elements; the others move the sample itself.
	const at = cubic ? a.at : padded(c, b, a.at, a, padding);
	const place = (v: Value, weight: Value | undefined): Neighbour => {
		const own = cubic ? padded(c, b, v, a, padding) : v;
		const inside = clamped(b, own, a.last);
		const on = b.cast(b.op("Equal", [inside, own]), "float32");
		return {
			index: inside,
			weight: weight ? b.mul(weight, on) : on,
		};
	};
	if (mode === "nearest") return [place(b.op("Round", [at]), undefined)];
	const floor = b.op("Floor", [at]);
	const t = b.sub(at, floor);
	const weights = cubic ? cubicWeights(b, t) : [b.affine(t, -1, 1), t];
	return weights.map((w, i) => place(b.affine(floor, 1, cubic ? i - 1 : i), w));
}

/** y[n, c, p] = the sum over neighbours k of w_k[n, p] x[n, c, i_k[n, p]]. */
function sampled(c: VjpContext, b: GraphBuilder): Value {
	const [x, grid] = [shapeOf(c, x0(c)), shapeOf(c, input(c, 1))];
	const n = x.length - 2;
	const mode = stringAttr(c.node, "mode", "bilinear");
	const padding = stringAttr(c.node, "padding_mode", "zeros");
	if (!["zeros", "border", "reflection"].includes(padding))
		throw unsupported(c, `the padding mode ${padding}`);
	const axes = Array.from({ length: n }, (_, i) => axisOf(c, b, i, n));
	// Every choice of a neighbour along each axis: its index in the flattened picture, and its weight.
	const all = axes.reduce<Neighbour[]>((sofar, a, i) => {
		const own = neighbours(c, b, a, mode, padding as Padding);
		if (i === 0) return own;
		return sofar.flatMap((s) =>
			own.map((o) => ({
				index: b.add(b.mul(s.index, a.size), o.index),
				weight: s.weight && o.weight ? b.mul(s.weight, o.weight) : undefined,
			})),
		);
	}, []);
	const flat = b.op("Reshape", [x0(c), b.ints([0, 0, -1])]);
	const channels = b.slice(b.op("Shape", [x0(c)]), 0, 1, 2);
	const one = b.ints([1]);
	const repeat = b.concat([one, channels, one], 0);
	const beside = (v: Value) => b.op("Unsqueeze", [v, b.ints([1])]);
	const parts = all.map(({ index, weight }) => {
		const at = b.op("Expand", [beside(b.cast(index, "int64")), repeat]);
		const places = b.assume(at, [
			grid[0] ?? "N",
			x[1] ?? "C",
			beside(index).shape?.[2] ?? "P",
		]);
		const seen = b.op("GatherElements", [flat, places], { axis: 2 });
		return weight ? b.mul(seen, beside(weight)) : seen;
	});
	const y = parts.reduce((sum, v) => b.add(sum, v));
	const sizes = b.slice(b.op("Shape", [input(c, 1)]), 0, 1, n + 1);
	const lead = b.slice(b.op("Shape", [x0(c)]), 0, 0, 2);
	return b.assume(b.op("Reshape", [y, b.concat([lead, sizes], 0)]), [
		...x.slice(0, 2),
		...grid.slice(1, -1),
	]);
}

/**
 * x: the elements around each place in the grid, by their weights; the grid: the slopes of the weights.
 * Both follow from the operator written out. https://onnx.ai/onnx/operators/onnx__GridSample.html
 */
const gridSample: Rule = (c) => c.through((b) => [sampled(c, b)]);

/**
 * Blocks added into a picture: dx reads the blocks from g again, by a convolution of each channel with
 * one kernel per place in the block, 1 there and 0 elsewhere.
 */
const col2Im: Rule = (c) => {
	const { b } = c;
	const block = c.constant(2);
	if (!block) throw unsupported(c, "its block_shape must be fixed");
	const sizes = Array.from(block.data as BigInt64Array, Number);
	const count = sizes.reduce((a, n) => a * n, 1);
	const eye = Float32Array.from({ length: count * count }, (_, i) =>
		i % (count + 1) === 0 ? 1 : 0,
	);
	const kernels = b.constant(floats(eye, [count, 1, ...sizes]));
	const g = c.grads[0] as Value;
	const picture = b.slice(b.op("Shape", [g]), 0, 2);
	const apart = b.op("Reshape", [g, b.concat([b.ints([-1, 1]), picture], 0)]);
	const shape = shapeOf(c, g).slice(2);
	const attrs = Object.fromEntries(
		Object.entries(c.node.attrs).filter(([, a]) => a.kind === "ints"),
	);
	const seen = b.op(
		"Conv",
		[b.assume(apart, ["pictures", 1, ...shape]), kernels],
		attrs,
	);
	const back = b.op("Reshape", [seen, b.op("Shape", [x0(c)])]);
	return [b.assume(back, shapeOf(c, x0(c))), undefined, undefined];
};

/**
 * The frames of a real signal times cos and -sin of every bin, windowed: a convolution whose kernels are
 * the rows of that basis. Its gradients, for signal and window, are this convolution's.
 */
function spectra(c: VjpContext, b: GraphBuilder): Value {
	const signal = shapeOf(c, x0(c));
	if (signal.length === 3 && signal[2] !== 1)
		throw unsupported(c, "its signal must be real");
	const window = c.inputs[2];
	const whole = (i: number) => c.constant(i)?.data[0];
	const [step, length] = [whole(1), whole(3) ?? window?.shape?.[0]];
	if (step === undefined || length === undefined || typeof length === "string")
		throw unsupported(c, "its frame_step and frame_length must be fixed");
	const n = Number(length);
	const bins = intAttr(c.node, "onesided", 1) ? Math.floor(n / 2) + 1 : n;
	const basis = Float32Array.from({ length: 2 * bins * n }, (_, i) => {
		const [row, at] = [Math.floor(i / n), i % n];
		const angle = (2 * Math.PI * (((row % bins) * at) % n)) / n;
		return row < bins ? Math.cos(angle) : -Math.sin(angle);
	});
	const kernels = b.constant(floats(basis, [2 * bins, 1, n]));
	const line = b.op("Reshape", [x0(c), b.ints([0, 1, -1])]);
	const rows = b.op("Conv", [line, window ? b.mul(kernels, window) : kernels], {
		strides: [Number(step)],
	});
	return b.transpose(b.reshape(rows, [0, 2, bins, -1]), [0, 3, 2, 1]);
}

/** Rules for operators that read from places that the run computes, for `fold`, and for frames. */
export const sampling = {
	GridSample: gridSample,
	Col2Im: col2Im,
	STFT: (c) => c.through((b) => [spectra(c, b)]),
	// Its own adjoint: the same stretches are turned around again.
	ReverseSequence: (c) => [
		c.b.append({
			...c.node,
			name: c.b.fresh("reversed"),
			inputs: [(c.grads[0] as Value).name, c.node.inputs[1] as string],
			outputs: [c.b.fresh("reversed")],
		})[0] as Value,
		undefined,
	],
} satisfies Record<string, Rule>;
