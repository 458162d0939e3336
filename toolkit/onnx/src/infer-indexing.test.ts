import test from "ava";
import fc from "fast-check";
import { checkInference, type InferCase } from "./_infer-testing.test.ts";
import {
	einsumLabels,
	GraphBuilder,
	inferTypes,
	int64s,
	type Value,
} from "./index.ts";
import { indexingRules } from "./infer-indexing.ts";
import { rareRules } from "./infer-rare.ts";
import { DTYPE_CODE } from "./types.ts";

const loss =
	(op: string): InferCase["build"] =>
	(d) => {
		const [n, c] = [d.int(1, 4), d.int(1, 4)];
		const rest = d.flag() ? [d.int(1, 3)] : [];
		return d.b.ops(
			op,
			[
				d.float([n, c, ...rest]),
				d.input("int64", [n, ...rest], () => d.int(0, c - 1)),
			],
			op.startsWith("Soft") ? d.int(1, 2) : 1,
			d.flag() ? { reduction: d.pick(["none", "sum", "mean"]) } : {},
		);
	};

const CASES: Record<string, InferCase> = {
	Einsum: {
		build: (d) => {
			const [i, j, k, b] = [d.int(1, 3), d.int(1, 3), d.int(1, 3), d.int(1, 3)];
			const [equation, ...shapes] = d.pick<[string, ...number[][]]>([
				["ij,jk->ik", [i, j], [j, k]],
				["ij,jk", [i, j], [j, k]],
				["...ij,...jk->...ik", [b, i, j], [d.pick([1, b]), j, k]],
				["b i j -> b j", [b, i, j]],
				["ii->i", [i, i]],
				["i,j,k->kij", [i], [j], [k]],
			]);
			return [
				d.b.op(
					"Einsum",
					shapes.map((s) => d.float(s)),
					{ equation },
				),
			];
		},
	},
	TopK: {
		build: (d) => {
			const s = d.shape(1);
			const axis = d.axis(s.length);
			const k = d.setting([d.int(1, s.at(axis) as number)]);
			return d.b.ops("TopK", [d.float(s), k], 2, { axis });
		},
	},
	GatherElements: {
		build: (d) => {
			const s = d.shape(1, 3);
			const axis = d.axis(s.length);
			const below = s.at(axis) as number;
			const own = s.map((v, i) =>
				i === (axis + s.length) % s.length ? d.int(1, 4) : v,
			);
			return [
				d.b.op("GatherElements", [d.float(s), d.indices(own, below)], { axis }),
			];
		},
	},
	GatherND: {
		build: (d) => {
			const batch = d.int(0, 1);
			const s = d.shape(2 + batch, 3 + batch).map(() => d.int(1, 2));
			const depth = d.int(1, s.length - batch);
			return [
				d.b.op(
					"GatherND",
					[
						d.float(s),
						d.input(
							"int64",
							[...s.slice(0, batch), ...d.shape(0, 2), depth],
							() => 0,
						),
					],
					{ batch_dims: batch },
				),
			].map((v) => {
				// The depth must be known for the rank to be: symbols hide it.
				d.computed ||= d.symbolic;
				return v;
			});
		},
	},
	Tile: {
		build: (d) => {
			const s = d.shape(1);
			return [
				d.b.op("Tile", [d.float(s), d.setting(s.map(() => d.int(1, 3)))]),
			];
		},
	},
	SoftmaxCrossEntropyLoss: { build: loss("SoftmaxCrossEntropyLoss") },
	NegativeLogLikelihoodLoss: { build: loss("NegativeLogLikelihoodLoss") },
	IsInf: { build: (d) => [d.b.op("IsInf", [d.float(d.shape())])] },
	ReverseSequence: {
		build: (d) => {
			const [steps, examples] = [d.int(1, 4), d.int(1, 4)];
			const x = d.float([steps, examples, ...d.shape(0, 2)]);
			return [
				d.b.op("ReverseSequence", [x, d.setting(Array(examples).fill(1))]),
			];
		},
	},
	CastLike: {
		build: (d) => [
			d.b.op("CastLike", [d.float(d.shape()), d.indices(d.shape(), 3)]),
		],
	},
	EyeLike: {
		build: (d) => [
			d.b.op(
				"EyeLike",
				[d.float(d.shape(2, 2))],
				d.flag() ? { dtype: DTYPE_CODE.int64 } : {},
			),
		],
	},
	QuantizeLinear: {
		build: (d) => [
			d.b.op("QuantizeLinear", [
				d.float(d.shape()),
				d.b.scalar(0.5),
				...(d.flag()
					? [
							d.b.constant({
								dtype: "int8",
								dims: [],
								data: Int8Array.of(1),
							}),
						]
					: []),
			]),
		],
	},
	DequantizeLinear: {
		build: (d) => [
			d.b.op("DequantizeLinear", [
				d.b.op("QuantizeLinear", [d.float(d.shape()), d.b.scalar(0.5)]),
				d.b.scalar(0.5),
			]),
		],
	},
	PRelu: {
		build: (d) => {
			const s = d.shape();
			return [d.b.op("PRelu", [d.float(s), d.float(d.partner(s))])];
		},
	},
	HardSwish: { build: (d) => [d.b.op("HardSwish", [d.float(d.shape())])] },
	Mish: {
		build: (d) => [d.b.op("Mish", [d.float(d.shape())])],
		opset: 18,
	},
	Swish: { build: (d) => [d.b.op("Swish", [d.float(d.shape())])], opset: 24 },
	Hardmax: { build: (d) => [d.b.op("Hardmax", [d.float(d.shape(1))])] },
	BitwiseNot: {
		build: (d) => [d.b.op("BitwiseNot", [d.indices(d.shape(), 4)])],
		opset: 18,
	},
	BitShift: {
		build: (d) => {
			const s = d.shape();
			const to = (shape: number[]) =>
				d.b.op("Cast", [d.input("int64", shape, () => 1)], {
					to: DTYPE_CODE.uint32,
				});
			return [
				d.b.op("BitShift", [to(s), to(d.partner(s))], { direction: "LEFT" }),
			];
		},
	},
};
for (const op of "BitwiseAnd BitwiseOr BitwiseXor".split(" "))
	CASES[op] = {
		build: (d) => {
			const s = d.shape();
			return [d.b.op(op, [d.indices(s, 4), d.indices(d.partner(s), 4)])];
		},
		opset: 18,
		runs: 4,
	};
for (const op of "Selu Celu ThresholdedRelu HardSigmoid Softsign Shrink Tan Asin Acos Atan Sinh Cosh Asinh Acosh Atanh RandomNormalLike RandomUniformLike Bernoulli".split(
	" ",
))
	CASES[op] = { build: (d) => [d.b.op(op, [d.float(d.shape())])], runs: 4 };

test("every rule has a case", (t) => {
	const rules = { ...indexingRules, ...rareRules };
	t.deepEqual(Object.keys(CASES).sort(), Object.keys(rules).sort());
});

for (const [op, c] of Object.entries(CASES))
	test.serial(
		`${op}: inferred types are what ONNX Runtime computes`,
		async (t) => {
			await fc.assert(
				fc.asyncProperty(fc.gen(), async (g) => {
					t.deepEqual(await checkInference(g, op, c), []);
				}),
				{ numRuns: c.runs ?? 12 },
			);
		},
	);

test("sizes are followed through the chains that exporters write", (t) => {
	const b = new GraphBuilder();
	const x = b.input("x", "float32", ["B", "T", 12]);
	const shape = b.op("Shape", [x]);
	const at = (i: number) =>
		b.op("Unsqueeze", [
			b.op("Gather", [shape, b.constant({ ...int64s([i]), dims: [] })]),
			b.ints([0]),
		]);
	const heads = b.op("Reshape", [
		x,
		b.concat([at(0), at(1), b.ints([3]), b.ints([-1])], 0),
	]);
	t.deepEqual(heads.shape, ["B", "T", 3, 4]);
	const rows = b.op("Reshape", [heads, b.ints([-1, 12])]);
	t.deepEqual(rows.shape, ["B*T", 12]);
	const back = b.op("Reshape", [rows, shape]);
	t.deepEqual(back.shape, ["B", "T", 12]);
	const half = b.op("Div", [at(1), b.ints([2])]);
	const front = b.op("Slice", [x, b.ints([0]), half, b.ints([1])]);
	t.is(front.shape?.length, 3);
	// The idiom of expand(-1, ...): a size where -1 stands.
	const target = b.concat([at(0), b.ints([-1]), b.ints([12])], 0);
	const ones = b.op("ConstantOfShape", [b.op("Shape", [target])], {
		value: { kind: "tensor", value: int64s([1]) },
	});
	const wanted = b.op("Where", [
		b.op("Equal", [target, b.op("Mul", [ones, b.ints([-1])])]),
		ones,
		target,
	]);
	const row = b.input("row", "float32", [1, 1, 12]);
	t.deepEqual(b.op("Expand", [row, wanted]).shape, ["B", 1, 12]);
	// An integer that a run decides is no size: it may be -1.
	const any = b.input("any", "int64", [1]);
	const open = b.op("Reshape", [x, b.concat([any, b.ints([12])], 0)]);
	t.is(open.shape?.[1], 12);
	t.not(open.shape?.[0], any.name);
	t.deepEqual(inferTypes(b.graph).get(back.name)?.shape, ["B", "T", 12]);
});

test("what holds integers does not lend them to what is computed from it", (t) => {
	const b = new GraphBuilder();
	const two = b.ints([4, 2]);
	const neg = b.op("Neg", [two]);
	t.deepEqual(neg.ints, [-4, -2]);
	for (const v of [
		b.op("Abs", [two]),
		b.op("Sign", [neg]),
		b.op("CumSum", [two, b.constant({ ...int64s([0]), dims: [] })]),
	] as Value[])
		t.is(v.ints, undefined);
});

test("equations that do not fit their inputs are E_MODEL", (t) => {
	for (const [equation, ranks] of [
		["ij,jk->ik", [2]],
		["ij->ij", [3]],
		["ijk->i", [2]],
		["ij->iz", [2]],
		["ij->ii", [2]],
		["i1->i", [2]],
	] as const)
		t.throws(() => einsumLabels(equation, ranks), { code: "E_MODEL" });
	t.deepEqual(einsumLabels("...i, b... -> ...", [3, 2]), {
		inputs: [
			["0", "1", "i"],
			["b", "1"],
		],
		output: ["0", "1"],
	});
	t.deepEqual(einsumLabels("ba", [2]).output, ["a", "b"]);
});
