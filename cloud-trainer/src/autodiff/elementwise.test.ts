import { floats, GraphBuilder } from "@wattvox/onnx";
import test from "ava";
import { ruleTests } from "./_rule-tests.test.ts";
import { elementwise } from "./elementwise.ts";
import { gradientsOf } from "./gradients-of.ts";
import type { Case, Range } from "./testing.ts";

const unary =
	(op: string, range: Range = {}): Case =>
	(d) =>
		d.b.op(op, [d.active(d.shape(), range)]);
const binary =
	(op: string, first: Range = {}, second: Range = first): Case =>
	(d) =>
		d.b.op(op, d.pair(first, second));
/** One to four inputs that broadcast to one shape. */
const several =
	(op: string, range: Range = {}): Case =>
	(d) => {
		const shape = d.shape();
		const inputs = Array.from({ length: d.int(1, 4) }, () =>
			d.active(d.partner(shape), range),
		);
		return d.b.op(op, inputs);
	};
const along =
	(op: string): Case =>
	(d) => {
		const shape = d.shape(1);
		return d.b.op(op, [d.active(shape)], { axis: d.axis(shape.length) });
	};
const positive: Range = { positive: true, size: [0.5, 2] };

const CASES: Record<keyof typeof elementwise, Case> = {
	Identity: unary("Identity"),
	Cast: (d) => d.b.cast(d.b.cast(d.active(d.shape()), "float64"), "float32"),
	Add: binary("Add"),
	Sum: several("Sum"),
	Sub: binary("Sub"),
	Mul: binary("Mul"),
	Div: binary("Div", {}, { size: [0.5, 2] }),
	Pow: (d) => {
		const k = d.int(0, 5);
		const whole = d.flag();
		// A fixed exponent, as a float or an integer, or one that is differentiated too.
		if (k === 5) return d.b.op("Pow", d.pair(positive));
		const exponent = whole
			? d.b.constant({
					dtype: "int64",
					dims: [],
					data: BigInt64Array.of(BigInt(k)),
				})
			: d.b.scalar(k);
		return d.b.op("Pow", [d.active(d.shape(), { size: [0.5, 2] }), exponent]);
	},
	Neg: unary("Neg"),
	Exp: unary("Exp"),
	Log: unary("Log", positive),
	Sqrt: unary("Sqrt", positive),
	Reciprocal: unary("Reciprocal", { size: [0.5, 2] }),
	Abs: unary("Abs"),
	Sin: unary("Sin"),
	Cos: unary("Cos"),
	Tanh: unary("Tanh"),
	Sigmoid: unary("Sigmoid"),
	Softplus: unary("Softplus"),
	Relu: unary("Relu"),
	LeakyRelu: (d) =>
		d.b.op(
			"LeakyRelu",
			[d.active(d.shape())],
			d.flag() ? { alpha: { kind: "float", value: d.int(0, 4) / 4 } } : {},
		),
	Erf: unary("Erf"),
	Max: several("Max", { apart: true }),
	Min: several("Min", { apart: true }),
	CastLike: (d) => {
		const like = d.b.constant({
			dtype: "float64",
			dims: [],
			data: Float64Array.of(0),
		});
		const wide = d.b.op("CastLike", [d.active(d.shape()), like]);
		return d.b.cast(wide, "float32");
	},
	Clip: (d) => {
		// Bounds that are constants, that are differentiated, or not there; now and then crossed.
		const bound = (fixed: number) =>
			d.pick([
				() => undefined,
				() => d.b.scalar(fixed),
				() => d.active([], { apart: true }),
			])();
		return d.b.op("Clip", [
			d.active(d.shape(), { apart: true }),
			bound(-3.05),
			bound(4.05),
		]);
	},
	Mean: several("Mean"),
	// Quotients away from whole numbers, where the remainder jumps.
	Mod: (d) => {
		const shape = d.shape();
		const by = d.active(d.partner(shape), { size: [0.97, 1.03] });
		const x = d.active(shape, { size: [0.3, 0.7] });
		const whole = d.b.affine(d.b.op("Sign", [x]), d.int(0, 2));
		return d.b.op("Mod", [d.b.add(x, whole), by], { fmod: 1 });
	},
	Where: (d) => {
		const shape = d.shape();
		return d.b.op("Where", [
			d.bool(d.partner(shape)),
			d.active(d.partner(shape)),
			d.active(d.partner(shape)),
		]);
	},
	Softmax: along("Softmax"),
	LogSoftmax: along("LogSoftmax"),
	Dropout: unary("Dropout"),
};

ruleTests(test, CASES, elementwise, { runs: 8 });

test.serial("the deviation of equal elements has no gradient", async (t) => {
	const b = new GraphBuilder();
	const x = b.input("x", "float32", [2, 2]);
	const apart = b.sub(x, b.mean(x, [1], 1));
	b.output(b.op("Sqrt", [b.mean(b.mul(apart, apart), [1])]), "y");
	const { gradients } = await gradientsOf(b.graph, {
		of: "y",
		wrt: ["x"],
		feeds: { x: floats([3, 3, 1, 5], [2, 2]) },
	});
	t.deepEqual([...(gradients.get("x")?.data ?? [])], [0, 0, -0.5, 0.5]);
});
