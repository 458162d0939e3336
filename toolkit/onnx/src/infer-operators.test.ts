import test from "ava";
import {
	type Draw,
	type InferCase,
	inferenceTests,
} from "./_infer-testing.test.ts";
import { float, floats, type GraphBuilder, int64s } from "./index.ts";
import { elementwiseRules } from "./infer-elementwise.ts";
import { linearRules } from "./infer-linear.ts";
import { structuralRules } from "./infer-structural.ts";

const unary =
	(
		op: string,
		attrs: Parameters<GraphBuilder["op"]>[2] = {},
	): InferCase["build"] =>
	(d) => [d.b.op(op, [d.float(d.shape())], attrs)];
const binary =
	(op: string, of: "float" | "bool" = "float"): InferCase["build"] =>
	(d) => {
		const shape = d.shape();
		const pair = [d[of](shape), d[of](d.partner(shape))];
		return [d.b.op(op, d.flag() ? pair : pair.reverse())];
	};
const variadic =
	(op: string): InferCase["build"] =>
	(d) => {
		const shape = d.shape();
		return [
			d.b.op(
				op,
				Array.from({ length: d.int(1, 3) }, () => d.float(d.partner(shape))),
			),
		];
	};
const along =
	(op: string): InferCase["build"] =>
	(d) => {
		const shape = d.shape(1);
		return [d.b.op(op, [d.float(shape)], { axis: d.axis(shape.length) })];
	};
const reduceAxes =
	(op: string): InferCase["build"] =>
	(d) => {
		const shape = d.shape(1);
		const keepdims = d.int(0, 1);
		const noop = d.int(0, 1);
		const axes = d
			.axes(shape.length)
			.map((a) => a - shape.length * d.int(0, 1));
		const given = d.flag() ? d.setting(axes) : undefined;
		return [
			d.b.op(op, given ? [d.float(shape), given] : [d.float(shape)], {
				keepdims,
				noop_with_empty_axes: noop,
			}),
		];
	};
const reduceAttr =
	(op: string): InferCase["build"] =>
	(d) => {
		const shape = d.shape(1);
		const attrs = d.flag() ? { axes: d.axes(shape.length, 1) } : {};
		return [d.b.op(op, [d.float(shape)], { keepdims: d.int(0, 1), ...attrs })];
	};
const argOf =
	(op: string): InferCase["build"] =>
	(d) => {
		const shape = d.shape(1);
		return [
			d.b.op(op, [d.float(shape)], {
				axis: d.axis(shape.length),
				keepdims: d.int(0, 1),
			}),
		];
	};
const product = (d: Draw): { a: number[]; b: number[] } => {
	const batch = d.shape(0, 2);
	const [m, k, n] = [d.int(1, 3), d.int(1, 3), d.int(1, 3)];
	return { a: [...d.partner(batch), m, k], b: [...batch, k, n] };
};
const swap = (shape: number[]): number[] => [
	...shape.slice(0, -2),
	shape.at(-1) as number,
	shape.at(-2) as number,
];

const CASES: Record<string, InferCase> = {
	Where: {
		build: (d) => {
			const s = d.shape();
			return [
				d.b.op("Where", [
					d.bool(d.partner(s)),
					d.float(s),
					d.float(d.partner(s)),
				]),
			];
		},
	},
	Cast: {
		build: (d) => [
			d.b.cast(
				d.float(d.shape()),
				d.pick(["float32", "int64", "bool", "int32"] as const),
			),
		],
	},
	Dropout: {
		build: (d) => d.b.ops("Dropout", [d.float(d.shape())], d.int(1, 2)),
	},
	IsNaN: { build: unary("IsNaN") },
	Shape: {
		build: (d) => [
			d.b.op(
				"Shape",
				[d.float(d.shape())],
				d.flag() ? { start: d.int(-3, 3), end: d.int(-3, 4) } : {},
			),
		],
	},
	Size: { build: unary("Size") },
	NonZero: {
		build: (d) => {
			d.computed = true;
			return [d.b.op("NonZero", [d.float(d.shape(1))])];
		},
	},
	Range: {
		build: (d) => {
			const down = d.flag();
			const [start, limit] = [d.int(0, 3), d.int(0, 9)];
			const delta = d.int(1, 3) * (down ? -1 : 1);
			return [
				d.b.op(
					"Range",
					[start, down ? -limit : limit, delta].map((v) => d.b.scalar(v)),
				),
			];
		},
	},
	Constant: {
		build: (d) => [
			d.b.op(
				"Constant",
				[],
				d.pick([
					{ value: { kind: "tensor", value: floats([1, 2], [1, 2]) } },
					{ value_int: 3 },
					{ value_ints: [1, 2, 3] },
					{ value_float: float(2) },
					{ value_floats: { kind: "floats", value: [1, 2] } },
				] as const),
			),
		],
	},
	ConstantOfShape: {
		build: (d) => [
			d.b.op(
				"ConstantOfShape",
				[d.setting(d.shape())],
				d.flag()
					? { value: { kind: "tensor", value: int64s([4]) } as const }
					: {},
			),
		],
	},
	ArgMax: { build: argOf("ArgMax") },
	ArgMin: { build: argOf("ArgMin") },
	Clip: {
		build: (d) => [
			d.b.op("Clip", [d.float(d.shape()), d.b.scalar(0), d.b.scalar(1)]),
		],
	},
	Not: { build: (d) => [d.b.op("Not", [d.bool(d.shape())])] },
	Gelu: { build: unary("Gelu"), opset: 20 },
	CumSum: {
		build: (d) => {
			const s = d.shape(1);
			const axis = d.b.constant({
				...int64s([d.axis(s.length)]),
				dims: [],
			});
			return [d.b.op("CumSum", [d.float(s), axis])];
		},
	},
	Trilu: { build: (d) => [d.b.op("Trilu", [d.float(d.shape(2))])] },
	Softmax: { build: along("Softmax") },
	LogSoftmax: { build: along("LogSoftmax") },
	Mod: {
		build: (d) => {
			const s = d.shape();
			return [d.b.op("Mod", [d.float(s), d.float(d.partner(s))], { fmod: 1 })];
		},
	},
	And: { build: binary("And", "bool") },
	Or: { build: binary("Or", "bool") },
	Xor: { build: binary("Xor", "bool") },
	Max: { build: variadic("Max") },
	Min: { build: variadic("Min") },
	Mean: { build: variadic("Mean") },
	Sum: { build: variadic("Sum") },
	ReduceSum: { build: reduceAxes("ReduceSum") },
	MatMul: {
		build: (d) => {
			const { a, b } = product(d);
			const kind = d.int(0, 3);
			const left = kind === 1 ? a.slice(-1) : a;
			const right = kind === 2 ? b.slice(-2, -1) : b;
			return [d.b.matmul(d.float(left), d.float(right))];
		},
	},
	"com.microsoft.FusedMatMul": {
		build: (d) => {
			const { a, b } = product(d);
			const [transA, transB] = [d.int(0, 1), d.int(0, 1)];
			return [
				d.b.op(
					"FusedMatMul",
					[d.float(transA ? swap(a) : a), d.float(transB ? swap(b) : b)],
					{ transA, transB },
					"com.microsoft",
				),
			];
		},
	},
	Gemm: {
		build: (d) => {
			const [m, k, n] = [d.int(1, 3), d.int(1, 3), d.int(1, 3)];
			const [transA, transB] = [d.int(0, 1), d.int(0, 1)];
			const c = d.flag() ? [d.float(d.partner([m, n]))] : [];
			return [
				d.b.op(
					"Gemm",
					[
						d.float(transA ? [k, m] : [m, k]),
						d.float(transB ? [n, k] : [k, n]),
						...c,
					],
					{ transA, transB },
				),
			];
		},
	},
	Reshape: {
		build: (d) => {
			const s = d.shape(1);
			const total = s.reduce((a, b) => a * b, 1);
			const cut = d.int(0, s.length);
			const flat = s.slice(cut).reduce((a, b) => a * b, 1);
			const target = d.pick([
				[-1],
				[total],
				[1, total, 1],
				[...s.slice(0, cut).map(() => 0), -1],
				[...s.slice(0, cut).map((v) => d.pick([0, v])), flat],
				[...s.slice(0, cut), 1, -1],
			]);
			return [d.b.op("Reshape", [d.float(s), d.setting(target)])];
		},
	},
	Flatten: {
		build: (d) => {
			const s = d.shape();
			return [
				d.b.op("Flatten", [d.float(s)], { axis: d.int(-s.length, s.length) }),
			];
		},
	},
	Slice: {
		build: (d) => {
			const s = d.shape(1);
			const far = 2 ** 31 - 1;
			const axes = d.axes(s.length, 1);
			const defaults = axes.length === s.length && d.flag();
			const steps =
				!defaults && d.flag() ? axes.map(() => d.pick([1, 1, 2, -1, -2])) : [];
			// Backwards to 2^31 - 1 is left out: ONNX Runtime's kernel reads that as "to the start",
			// against the standard and its own shape inference.
			const bound = (_: unknown, i: number) =>
				d.pick([
					d.int(-6, 6),
					d.int(-2, 2),
					-far,
					(steps[i] ?? 1) < 0 ? 0 : far,
				]);
			return [
				d.b.op("Slice", [
					d.float(s),
					d.setting(axes.map(bound)),
					d.setting(axes.map(bound)),
					...(defaults
						? []
						: [d.setting(axes.map((a) => a - s.length * d.int(0, 1)))]),
					...(steps.length ? [d.setting(steps)] : []),
				]),
			];
		},
	},
	Pad: {
		build: (d) => {
			const s = d.shape(1);
			const pads = [...s, ...s].map(() => d.int(0, 2));
			return [d.b.op("Pad", [d.float(s), d.setting(pads)])];
		},
	},
	Concat: {
		build: (d) => {
			const s = d.shape(1);
			const axis = d.axis(s.length);
			const at = axis < 0 ? axis + s.length : axis;
			const parts = Array.from({ length: d.int(1, 3) }, () =>
				d.float(s.map((v, i) => (i === at ? d.int(1, 3) : v))),
			);
			return [d.b.concat(parts, axis)];
		},
	},
	Split: {
		build: (d) => {
			const s = d.shape(1);
			const axis = d.axis(s.length);
			const at = axis < 0 ? axis + s.length : axis;
			const sizes = Array.from({ length: d.int(1, 3) }, () => d.int(1, 3));
			const total = sizes.reduce((a, b) => a + b, 0);
			const even = d.flag();
			const x = d.float(
				s.map((v, i) => (i === at ? (even ? sizes.length * 2 : total) : v)),
			);
			return d.b.ops(
				"Split",
				even ? [x] : [x, d.setting(sizes)],
				sizes.length,
				{ axis },
			);
		},
	},
	Squeeze: {
		build: (d) => {
			const s = d.shape(1).map((v) => (d.flag() ? 1 : v));
			const ones = [...s.keys()].filter((i) => s[i] === 1);
			const axes = ones
				.filter(() => d.flag())
				.map((a) => a - s.length * d.int(0, 1));
			return [
				d.b.op(
					"Squeeze",
					axes.length ? [d.float(s), d.setting(axes)] : [d.float(s)],
				),
			];
		},
	},
	Unsqueeze: {
		build: (d) => {
			const s = d.shape(0, 3);
			const rank = s.length + d.int(1, 2);
			const axes = Array.from({ length: rank }, (_, i) => i);
			while (axes.length > rank - s.length)
				axes.splice(d.int(0, axes.length - 1), 1);
			return [
				d.b.op("Unsqueeze", [
					d.float(s),
					d.setting(axes.map((a) => a - rank * d.int(0, 1))),
				]),
			];
		},
	},
	Transpose: {
		build: (d) => {
			const s = d.shape();
			const from = [...s.keys()];
			const perm = s.map(
				() => from.splice(d.int(0, from.length - 1), 1)[0] as number,
			);
			return [d.b.op("Transpose", [d.float(s)], d.flag() ? { perm } : {})];
		},
	},
	Gather: {
		build: (d) => {
			const s = d.shape(1);
			const axis = d.axis(s.length);
			const size = s.at(axis) as number;
			return [
				d.b.op("Gather", [d.float(s), d.indices(d.shape(0, 2), size)], {
					axis,
				}),
			];
		},
	},
	Expand: {
		build: (d) => {
			const s = d.shape();
			return [d.b.op("Expand", [d.float(d.partner(s)), d.setting(s)])];
		},
	},
	OneHot: {
		build: (d) => {
			const s = d.shape(1, 3);
			const depth = d.int(1, 4);
			return [
				d.b.op(
					"OneHot",
					[
						d.indices(s, depth),
						d.b.constant({ ...int64s([depth]), dims: [] }),
						d.b.constant(floats([0, 1])),
					],
					{ axis: d.int(-s.length - 1, s.length) },
				),
			];
		},
	},
	LayerNormalization: {
		build: (d) => {
			const s = d.shape(1);
			const axis = d.axis(s.length);
			const over = s.slice(axis);
			return d.b.ops(
				"LayerNormalization",
				[d.float(s), d.float(over), d.float(over)],
				d.pick([1, 3]),
				{ axis },
			);
		},
	},
	ScatterElements: {
		build: (d) => {
			const s = d.shape(1);
			return [
				d.b.op("ScatterElements", [d.float(s), d.indices(s, 1), d.float(s)]),
			];
		},
	},
	ScatterND: {
		build: (d) => {
			const s = d.shape(1);
			return [
				d.b.op("ScatterND", [
					d.float(s),
					d.indices([1, 1], s[0] as number),
					d.float([1, ...s.slice(1)]),
				]),
			];
		},
	},
};
for (const op of "Identity Neg Abs Sign Exp Log Sqrt Reciprocal Erf Tanh Sigmoid Softplus Relu LeakyRelu Elu Sin Cos Floor Ceil Round".split(
	" ",
))
	CASES[op] = { build: unary(op), runs: 4 };
for (const op of "Add Sub Mul Div Pow Equal Greater GreaterOrEqual Less LessOrEqual".split(
	" ",
))
	CASES[op] = { build: binary(op) };
for (const op of "ReduceMean ReduceMax ReduceMin ReduceProd ReduceL1 ReduceL2 ReduceSumSquare ReduceLogSum ReduceLogSumExp".split(
	" ",
))
	CASES[op] = { build: reduceAttr(op) };

inferenceTests(test, CASES, {
	...elementwiseRules,
	...linearRules,
	...structuralRules,
});
