import {
	floatAttr,
	type GraphBuilder,
	intAttr,
	type Value,
} from "@wattvox/onnx";
import {
	expandLike,
	g0,
	input,
	mask,
	type Rule,
	unsupported,
	type VjpContext,
	x0,
	y0,
} from "./vjp.ts";

/**
 * The cotangent of a root, 0 where the root is 0: a deviation of equal elements is flat there, and what
 * is infinite would become NaN further on. Where x is at least a constant above 0 (a variance plus
 * epsilon) nothing is added.
 */
function rootSlope(c: VjpContext): Value {
	const { b } = c;
	const y = y0(c);
	const made = b.graph.nodes.findLast((n) => n.outputs.includes(x0(c).name));
	const above = made?.op === "Add" ? made.inputs : [];
	const positive = above.some((name) =>
		b.graph.initializers.get(name)?.data.every((v) => v > 0),
	);
	if (positive) return b.div(g0(c), b.affine(y, 2));
	const flat = b.op("Equal", [y, b.scalar(0)]);
	const safe = b.op("Where", [flat, b.scalar(1), b.affine(y, 2)]);
	return b.op("Where", [flat, b.scalar(0), b.div(g0(c), safe)]);
}

/** A rule for y = f(x): dx = g * f'(x), with `slope` giving f'(x). */
const unary =
	(
		slope: (b: GraphBuilder, x: Value, y: Value, c: VjpContext) => Value,
	): Rule =>
	(c) => [c.b.mul(g0(c), slope(c.b, x0(c), y0(c), c))];

const one = (b: GraphBuilder) => b.scalar(1);

/** Where a wins against b: 1, where they tie: 1/2, else 0. */
const wins = (
	b: GraphBuilder,
	op: "Greater" | "Less",
	a: Value,
	other: Value,
): Value =>
	b.add(
		mask(b, b.op(op, [a, other])),
		b.affine(mask(b, b.op("Equal", [a, other])), 0.5),
	);

/** dx_i = g [x_i = y] / number of ties. */
function shareAmongTies(c: VjpContext): (Value | undefined)[] {
	const { b } = c;
	const hits = c.inputs.map((_, i) =>
		mask(b, b.op("Equal", [input(c, i), y0(c)])),
	);
	const share = b.div(g0(c), b.op("Sum", hits));
	return hits.map((hit, i) => (c.needs[i] ? b.mul(share, hit) : undefined));
}

const extremum =
	(op: "Greater" | "Less"): Rule =>
	(c) => {
		if (c.inputs.length === 1) return [g0(c)];
		if (c.inputs.length > 2) return shareAmongTies(c);
		const [a, d] = [x0(c), input(c, 1)];
		const m = wins(c.b, op, a, d);
		return [
			c.needs[0] ? c.b.mul(g0(c), m) : undefined,
			c.needs[1] ? c.b.mul(g0(c), c.b.sub(one(c.b), m)) : undefined,
		];
	};

const toTypeOfInput: Rule = (c) => {
	const to = x0(c).dtype;
	return to.includes("float") ? [c.b.cast(g0(c), to)] : [undefined];
};

/** Rules for operators that work element by element. The formula stands above each that is not plain. */
export const elementwise = {
	Identity: (c) => [g0(c)],
	Cast: toTypeOfInput,
	CastLike: toTypeOfInput,
	Add: (c) => [g0(c), g0(c)],
	Sum: (c) => c.inputs.map(() => g0(c)),
	Sub: (c) => [g0(c), c.needs[1] ? c.b.op("Neg", [g0(c)]) : undefined],
	Mul: (c) => [
		c.needs[0] ? c.b.mul(g0(c), input(c, 1)) : undefined,
		c.needs[1] ? c.b.mul(g0(c), x0(c)) : undefined,
	],
	// y = a/b: da = g/b, db = -g y / b
	Div: (c) => {
		const ga = c.b.div(g0(c), input(c, 1));
		return [
			c.needs[0] ? ga : undefined,
			c.needs[1] ? c.b.op("Neg", [c.b.mul(ga, y0(c))]) : undefined,
		];
	},
	// y = x^p: dx = g p x^(p-1), 0 where p is 0; dp = g y ln x, 0 where x is 0
	Pow: (c) => {
		const { b } = c;
		const [x, raw] = [x0(c), input(c, 1)];
		const p = raw.dtype === x.dtype ? raw : b.cast(raw, x.dtype);
		const fixed = c.constant(1);
		const k = fixed?.data.length === 1 ? Number(fixed.data[0]) : undefined;
		const slope = (): Value | undefined => {
			if (k === 0) return undefined;
			if (k === 1) return g0(c);
			if (k === 2) return b.mul(g0(c), b.affine(x, 2));
			const power = b.mul(p, b.op("Pow", [x, b.affine(p, 1, -1)]));
			if (k !== undefined) return b.mul(g0(c), power);
			const none = b.op("Equal", [p, b.scalar(0)]);
			return b.mul(g0(c), b.op("Where", [none, b.scalar(0), power]));
		};
		const log = () =>
			b.op("Log", [
				b.op("Where", [b.op("Equal", [x, b.scalar(0)]), one(b), x]),
			]);
		return [
			c.needs[0] ? slope() : undefined,
			c.needs[1] ? b.mul(g0(c), b.mul(y0(c), log())) : undefined,
		];
	},
	Neg: (c) => [c.b.op("Neg", [g0(c)])],
	Exp: unary((_b, _x, y) => y),
	Log: (c) => [c.b.div(g0(c), x0(c))],
	// y = sqrt x: dx = g / 2y
	Sqrt: (c) => [rootSlope(c)],
	Reciprocal: unary((b, _x, y) => b.op("Neg", [b.mul(y, y)])),
	Abs: unary((b, x) => b.op("Sign", [x])),
	Sin: unary((b, x) => b.op("Cos", [x])),
	Cos: unary((b, x) => b.op("Neg", [b.op("Sin", [x])])),
	Tanh: unary((b, _x, y) => b.sub(one(b), b.mul(y, y))),
	Sigmoid: unary((b, _x, y) => b.mul(y, b.sub(one(b), y))),
	Softplus: unary((b, x) => b.op("Sigmoid", [x])),
	Relu: unary((b, _x, y) => mask(b, b.op("Greater", [y, b.scalar(0)]))),
	// With alpha > 0 the signs of x and y are the same; y is what the next operator keeps anyway.
	LeakyRelu: unary((b, x, y, c) => {
		const alpha = floatAttr(c.node, "alpha", 0.01);
		const m = mask(b, b.op("Greater", [alpha > 0 ? y : x, b.scalar(0)]));
		if (alpha >= 0 && alpha <= 1)
			return b.op("Clip", [m, b.scalar(alpha), one(b)]);
		return b.affine(m, 1 - alpha, alpha);
	}),
	// y = erf x: dx = g 2/sqrt(pi) exp(-x^2)
	Erf: unary((b, x) =>
		b.affine(b.op("Exp", [b.op("Neg", [b.mul(x, x)])]), 2 / Math.sqrt(Math.PI)),
	),
	Max: extremum("Greater"),
	Min: extremum("Less"),
	// y = min(max(x, lo), hi): the cotangent goes to x inside (ends included), to hi above, to lo below
	Clip: (c) => {
		const { b } = c;
		const x = x0(c);
		const [lo, hi] = [c.inputs[1], c.inputs[2]];
		const is = (op: string, p: Value, q: Value) => mask(b, b.op(op, [p, q]));
		const raised = lo ? b.op("Max", [x, lo]) : x;
		const both = (p: Value | undefined, q: Value | undefined) =>
			p && q ? b.mul(p, q) : (p ?? q);
		const keep = both(
			lo && is("GreaterOrEqual", x, lo),
			hi && is("LessOrEqual", x, hi),
		);
		const below = (low: Value) =>
			both(is("Less", x, low), hi && is("LessOrEqual", low, hi)) as Value;
		return [
			keep ? b.mul(g0(c), keep) : g0(c),
			lo && c.needs[1] ? b.mul(g0(c), below(lo)) : undefined,
			hi && c.needs[2] ? b.mul(g0(c), is("Greater", raised, hi)) : undefined,
		];
	},
	// Chosen, not multiplied: an infinite cotangent of the other side stays out.
	Where: (c) => {
		const { b } = c;
		const [cond, none] = [x0(c), b.scalar(0)];
		return [
			undefined,
			c.needs[1] ? b.op("Where", [cond, g0(c), none]) : undefined,
			c.needs[2] ? b.op("Where", [cond, none, g0(c)]) : undefined,
		];
	},
	// y = mean of n inputs: dx_i = g / n
	Mean: (c) => {
		const share = c.b.affine(g0(c), 1 / c.inputs.length);
		return c.inputs.map(() => share);
	},
	// y = a - b trunc(a/b) (fmod): da = g, db = -g trunc(a/b) = g round((y - a) / b)
	Mod: (c) => {
		const { b } = c;
		const [a, d] = [x0(c), input(c, 1)];
		const db = () => b.mul(g0(c), b.op("Round", [b.div(b.sub(y0(c), a), d)]));
		return [g0(c), c.needs[1] ? db() : undefined];
	},
	// y = exp(x - m) / sum: dx = y (g - sum(g y))
	Softmax: (c) => {
		const { b } = c;
		const axis = intAttr(c.node, "axis", -1);
		const gy = b.mul(g0(c), y0(c));
		return [b.sub(gy, b.mul(y0(c), b.sum(gy, [axis], 1)))];
	},
	// y = x - logsumexp(x): dx = g - exp(y) sum(g)
	LogSoftmax: (c) => {
		const { b } = c;
		const axis = intAttr(c.node, "axis", -1);
		return [b.sub(g0(c), b.mul(b.op("Exp", [y0(c)]), b.sum(g0(c), [axis], 1)))];
	},
	// y = x mask / (1 - ratio) in training, with the mask of the forward run; y = x otherwise
	Dropout: (c) => {
		const { b } = c;
		const training = c.inputs[2];
		if (!training || c.constant(2)?.data[0] === 0)
			return [expandLike(b, g0(c), x0(c))];
		if (c.needs[1]) throw unsupported(c, "a ratio that is trained");
		const ratio = c.inputs[1];
		const kept = ratio
			? b.sub(
					one(b),
					ratio.dtype === "float32" ? ratio : b.cast(ratio, "float32"),
				)
			: b.scalar(0.5);
		const scale = b.op("Where", [training, b.op("Reciprocal", [kept]), one(b)]);
		const drawn = mask(b, b.extend(c.node, 2)[1] as Value);
		return [b.mul(g0(c), b.mul(drawn, scale))];
	},
} satisfies Record<string, Rule>;
