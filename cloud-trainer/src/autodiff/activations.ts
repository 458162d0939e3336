import { floatAttr, type GraphBuilder, type Value } from "@wattvox/onnx";
import { g0, input, mask, type Rule, type VjpContext, x0, y0 } from "./vjp.ts";

/** A rule for y = f(x): dx = g f'(x), with `slope` giving f'(x). */
const slope =
	(f: (b: GraphBuilder, x: Value, y: Value, c: VjpContext) => Value): Rule =>
	(c) => [c.b.mul(g0(c), f(c.b, x0(c), y0(c), c))];

const one = (b: GraphBuilder): Value => b.scalar(1);
const above = (b: GraphBuilder, x: Value, k: number): Value =>
	b.op("Greater", [x, b.scalar(k)]);
const root = (b: GraphBuilder, x: Value): Value => b.op("Sqrt", [x]);
const square = (b: GraphBuilder, x: Value): Value => b.mul(x, x);
const reciprocal = (b: GraphBuilder, x: Value): Value =>
	b.op("Reciprocal", [x]);
/** 1 where 0 < h < 1, else 0. */
const between = (b: GraphBuilder, h: Value): Value =>
	mask(b, b.op("And", [above(b, h, 0), b.op("Less", [h, one(b)])]));

/** Rules for activations and for trigonometry. At a kink the slope is that of the side at zero. */
export const activations = {
	// y = alpha (e^x - 1) below 0: slope y + alpha
	Elu: slope((b, x, y, c) =>
		b.op("Where", [
			above(b, x, 0),
			one(b),
			b.affine(y, 1, floatAttr(c.node, "alpha", 1)),
		]),
	),
	// y = gamma alpha (e^x - 1) below 0: slope y + gamma alpha; gamma above
	Selu: slope((b, x, y, c) => {
		const alpha = floatAttr(c.node, "alpha", 1.6732632);
		const gamma = floatAttr(c.node, "gamma", 1.050701);
		return b.op("Where", [
			above(b, x, 0),
			b.scalar(gamma),
			b.affine(y, 1, gamma * alpha),
		]);
	}),
	// y = alpha (e^(x/alpha) - 1) below 0: slope y / alpha + 1
	Celu: slope((b, x, y, c) =>
		b.op("Where", [
			above(b, x, 0),
			one(b),
			b.affine(y, 1 / floatAttr(c.node, "alpha", 1), 1),
		]),
	),
	// y = slope x where x < 0: dx = g slope there, dslope = g min(x, 0)
	PRelu: (c) => {
		const { b } = c;
		const [x, s] = [x0(c), input(c, 1)];
		const dx = () =>
			b.mul(g0(c), b.op("Where", [b.op("Less", [x, b.scalar(0)]), s, one(b)]));
		const ds = () => b.mul(g0(c), b.op("Min", [x, b.scalar(0)]));
		return [c.needs[0] ? dx() : undefined, c.needs[1] ? ds() : undefined];
	},
	ThresholdedRelu: slope((b, x, _y, c) =>
		mask(b, above(b, x, floatAttr(c.node, "alpha", 1))),
	),
	// y = x +- bias outside of [-lambd, lambd], 0 inside
	Shrink: slope((b, x, _y, c) =>
		mask(b, above(b, b.op("Abs", [x]), floatAttr(c.node, "lambd", 0.5))),
	),
	// y = min(1, max(0, alpha x + beta))
	HardSigmoid: slope((b, _x, y, c) =>
		b.affine(between(b, y), floatAttr(c.node, "alpha", Math.fround(0.2))),
	),
	// y = x h(x) with h = HardSigmoid(1/6, 1/2): slope h + x/6 where 0 < h < 1
	HardSwish: slope((b, x) => {
		const h = b.op("HardSigmoid", [x], {
			alpha: { kind: "float", value: 1 / 6 },
			beta: { kind: "float", value: 0.5 },
		});
		return b.add(h, b.mul(b.affine(x, 1 / 6), between(b, h)));
	}),
	// y = x t with t = tanh(softplus x): slope t + x sigmoid(x) (1 - t^2)
	Mish: slope((b, x) => {
		const t = b.op("Tanh", [b.op("Softplus", [x])]);
		const bend = b.sub(one(b), square(b, t));
		return b.add(t, b.mul(b.mul(x, b.op("Sigmoid", [x])), bend));
	}),
	// y = x s with s = sigmoid(alpha x): slope s + alpha y (1 - s)
	Swish: slope((b, x, y, c) => {
		const alpha = floatAttr(c.node, "alpha", 1);
		const s = b.op("Sigmoid", [b.affine(x, alpha)]);
		return b.add(s, b.mul(b.affine(y, alpha), b.sub(one(b), s)));
	}),
	// y = x / (1 + |x|): slope 1 / (1 + |x|)^2
	Softsign: slope((b, x) =>
		reciprocal(b, square(b, b.affine(b.op("Abs", [x]), 1, 1))),
	),
	Tan: slope((b, _x, y) => b.affine(square(b, y), 1, 1)),
	// 1 / sqrt(1 - x^2)
	Asin: slope((b, x) => reciprocal(b, root(b, b.sub(one(b), square(b, x))))),
	Acos: slope((b, x) =>
		b.op("Neg", [reciprocal(b, root(b, b.sub(one(b), square(b, x))))]),
	),
	Atan: slope((b, x) => reciprocal(b, b.affine(square(b, x), 1, 1))),
	Sinh: slope((b, x) => b.op("Cosh", [x])),
	Cosh: slope((b, x) => b.op("Sinh", [x])),
	// 1 / sqrt(x^2 + 1), 1 / sqrt(x^2 - 1), 1 / (1 - x^2)
	Asinh: slope((b, x) => reciprocal(b, root(b, b.affine(square(b, x), 1, 1)))),
	Acosh: slope((b, x) => reciprocal(b, root(b, b.affine(square(b, x), 1, -1)))),
	Atanh: slope((b, x) => reciprocal(b, b.sub(one(b), square(b, x)))),
} satisfies Record<string, Rule>;
