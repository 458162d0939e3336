import {
	floatAttr,
	type GraphBuilder,
	intAttr,
	intsAttr,
	type Value,
} from "@wattvox/onnx";
import {
	fromFront,
	g0,
	input,
	type Rule,
	reshapeLike,
	shapeOf,
	unsupported,
	type VjpContext,
	x0,
	y0,
} from "./vjp.ts";

/** All axes of x but the channels'. */
const notChannels = (c: VjpContext): number[] =>
	[...shapeOf(c, x0(c)).keys()].filter((axis) => axis !== 1);

/** A value per channel, [C], in a shape that broadcasts over x. */
function perChannel(c: VjpContext, v: Value): Value {
	const beyond = shapeOf(c, x0(c)).length - 2;
	return beyond > 0
		? c.b.reshape(v, [-1, ...new Array<number>(beyond).fill(1)])
		: v;
}

/** 1 / sqrt(v + epsilon). */
const inverseRoot = (b: GraphBuilder, v: Value, epsilon: number): Value =>
	b.op("Reciprocal", [b.op("Sqrt", [b.affine(v, 1, epsilon)])]);

/** xhat = (x - mean) r with r = 1 / sqrt(var + epsilon), mean and (population) var over `axes`. */
function standardised(
	b: GraphBuilder,
	x: Value,
	axes: readonly number[],
	epsilon: number,
): { xhat: Value; r: Value } {
	const centred = b.sub(x, b.mean(x, axes, 1));
	const r = inverseRoot(b, b.mean(b.mul(centred, centred), axes, 1), epsilon);
	return { xhat: b.mul(centred, r), r };
}

/** x's cotangent from xhat's, q: r (q - mean(q) - xhat mean(q xhat)). */
const throughStandardised = (
	b: GraphBuilder,
	q: Value,
	{ xhat, r }: { xhat: Value; r: Value },
	axes: readonly number[],
): Value =>
	b.mul(
		r,
		b.sub(
			b.sub(q, b.mean(q, axes, 1)),
			b.mul(xhat, b.mean(b.mul(q, xhat), axes, 1)),
		),
	);

/** Cotangents of x, scale and bias where y = xhat scale + bias with one scale per channel. */
function scaledPerChannel(
	c: VjpContext,
	found: { xhat: Value; r: Value },
	toX: (q: Value) => Value,
): (Value | undefined)[] {
	const { b } = c;
	const g = g0(c);
	return [
		c.needs[0] ? toX(b.mul(g, perChannel(c, input(c, 1)))) : undefined,
		c.needs[1] ? b.sum(b.mul(g, found.xhat), notChannels(c)) : undefined,
		c.needs[2] ? b.sum(g, notChannels(c)) : undefined,
	];
}

/** Channel sums over windows of `size`: `before` channels ahead of each and the rest behind it. */
function windowSum(
	b: GraphBuilder,
	v: Value,
	size: number,
	before: number,
): Value {
	const wide = b.pad(v, 1, before, size - 1 - before);
	const parts = Array.from({ length: size }, (_, i) =>
		b.slice(wide, 1, i, i === size - 1 ? undefined : i + 1 - size),
	);
	return b.op("Sum", parts);
}

/** Rules for normalisations other than LayerNormalization. */
export const norm = {
	// With fixed statistics y = (x - mean) r scale + bias, r = 1 / sqrt(var + epsilon):
	// dx = g scale r, dmean = -sum(dx), dvar = -sum(dx (x - mean)) r^2 / 2
	BatchNormalization: (c) => {
		const { b, node } = c;
		const x = x0(c);
		const epsilon = floatAttr(node, "epsilon", 1e-5);
		// Before opset 14 a node trains where its further outputs are asked for.
		const trains =
			(b.graph.opsets[""] ?? 0) < 14
				? node.outputs.filter(Boolean).length > 1
				: intAttr(node, "training_mode", 0) === 1;
		if (trains) {
			if (c.grads[1] || c.grads[2])
				throw unsupported(c, "the running statistics are used as well");
			const axes = notChannels(c);
			const found = standardised(b, x, axes, epsilon);
			return scaledPerChannel(c, found, (q) =>
				throughStandardised(b, q, found, axes),
			);
		}
		const r = inverseRoot(b, input(c, 4), epsilon);
		const centred = b.sub(x, perChannel(c, input(c, 3)));
		const xhat = b.mul(centred, perChannel(c, r));
		const sums = (v: Value) => b.sum(v, notChannels(c));
		const slope = b.mul(input(c, 1), r);
		const [, dscale, dbias] = scaledPerChannel(c, { xhat, r }, (q) => q);
		return [
			c.needs[0] ? b.mul(g0(c), perChannel(c, slope)) : undefined,
			dscale,
			dbias,
			c.needs[3] ? b.op("Neg", [b.mul(sums(g0(c)), slope)]) : undefined,
			c.needs[4]
				? b.affine(b.mul(b.mul(sums(b.mul(g0(c), xhat)), slope), r), -0.5)
				: undefined,
		];
	},
	// Each channel of each example by itself.
	InstanceNormalization: (c) => {
		const axes = notChannels(c).slice(1);
		const epsilon = floatAttr(c.node, "epsilon", 1e-5);
		const found = standardised(c.b, x0(c), axes, epsilon);
		return scaledPerChannel(c, found, (q) =>
			throughStandardised(c.b, q, found, axes),
		);
	},
	// x as [N, G, rest], each group of each example by itself. Scale and bias are per channel from
	// opset 21 on and per group before.
	GroupNormalization: (c) => {
		const { b, node } = c;
		const x = x0(c);
		const groups = intAttr(node, "num_groups", 1);
		const grouped = (v: Value) => b.reshape(v, [0, groups, -1]);
		const epsilon = floatAttr(node, "epsilon", 1e-5);
		const found = standardised(b, grouped(x), [2], epsilon);
		const toX = (q: Value) =>
			reshapeLike(b, throughStandardised(b, q, found, [2]), x);
		if ((b.graph.opsets[""] ?? 0) >= 21)
			return scaledPerChannel(
				c,
				{ xhat: reshapeLike(b, found.xhat, x), r: found.r },
				(q) => toX(grouped(q)),
			);
		const g = grouped(g0(c));
		return [
			c.needs[0] ? toX(b.mul(g, b.reshape(input(c, 1), [-1, 1]))) : undefined,
			c.needs[1] ? b.sum(b.mul(g, found.xhat), [0, 2]) : undefined,
			c.needs[2] ? b.sum(g, [0, 2]) : undefined,
		];
	},
	// xhat = x r, r = 1 / sqrt(mean(x^2) + epsilon), y = xhat scale, with q = g scale:
	// dx = r (q - xhat mean(q xhat)), dscale = sum(g xhat)
	RMSNormalization: (c) => {
		const { b, node } = c;
		const x = x0(c);
		const rank = shapeOf(c, x).length;
		const first = fromFront(intAttr(node, "axis", -1), rank);
		const axes = Array.from({ length: rank - first }, (_, i) => first + i);
		const square = b.mean(b.mul(x, x), axes, 1);
		const r = inverseRoot(b, square, floatAttr(node, "epsilon", 1e-5));
		const xhat = b.mul(x, r);
		const q = b.mul(g0(c), input(c, 1));
		return [
			c.needs[0]
				? b.mul(r, b.sub(q, b.mul(xhat, b.mean(b.mul(q, xhat), axes, 1))))
				: undefined,
			c.needs[1] ? b.mul(g0(c), xhat) : undefined,
		];
	},
	// y = x / n. p = 2, n = sqrt(sum x^2): dx = (g - y sum(g y)) / n;
	// p = 1, n = sum |x|: dx = (g - sign(x) sum(g y)) / n. Rows of zeros have no gradient.
	LpNormalization: (c) => {
		const { b, node } = c;
		const [x, y] = [x0(c), y0(c)];
		const axes = [intAttr(node, "axis", -1)];
		const one = intAttr(node, "p", 2) === 1;
		const norm = one
			? b.sum(b.op("Abs", [x]), axes, 1)
			: b.op("Sqrt", [b.sum(b.mul(x, x), axes, 1)]);
		const along = one ? b.op("Sign", [x]) : y;
		const dx = b.sub(g0(c), b.mul(along, b.sum(b.mul(g0(c), y), axes, 1)));
		const none = b.op("Equal", [norm, b.scalar(0)]);
		return [
			b.op("Where", [
				none,
				b.scalar(0),
				b.div(dx, b.op("Where", [none, b.scalar(1), norm])),
			]),
		];
	},
	// y = (x - mean) / std. The 1e-9 that the operator adds to std is below what float32 resolves.
	MeanVarianceNormalization: (c) => {
		const axes = intsAttr(c.node, "axes") ?? [0, 2, 3];
		const found = standardised(c.b, x0(c), axes, 0);
		return [throughStandardised(c.b, g0(c), found, axes)];
	},
	// y = x s^-beta, s = bias + alpha / size * (sum of x^2 over a window of channels):
	// dx = g s^-beta - 2 alpha beta / size * x * (sum of g y / s over the window turned round)
	LRN: (c) => {
		const { b, node } = c;
		const x = x0(c);
		const size = intAttr(node, "size", 1);
		const alpha = floatAttr(node, "alpha", 1e-4) / size;
		const beta = floatAttr(node, "beta", 0.75);
		const before = Math.floor((size - 1) / 2);
		const s = b.affine(
			windowSum(b, b.mul(x, x), size, before),
			alpha,
			floatAttr(node, "bias", 1),
		);
		const back = windowSum(
			b,
			b.div(b.mul(g0(c), y0(c)), s),
			size,
			size - 1 - before,
		);
		return [
			b.sub(
				b.mul(g0(c), b.op("Pow", [s, b.scalar(-beta)])),
				b.mul(x, b.affine(back, 2 * alpha * beta)),
			),
		];
	},
} satisfies Record<string, Rule>;
