import { broadcastShapes, freshDim } from "./dims.ts";
import {
	axisOf,
	dimsGiven,
	type Rule,
	shape0,
	type0,
} from "./infer-context.ts";
import { type Dim, dtypeOf, intAttr, type ValueType } from "./types.ts";

const same: Rule = (c) => [type0(c)];
const spread = (types: readonly (ValueType | undefined)[]) =>
	broadcastShapes(...types.map((t) => t?.shape));
const broadcast: Rule = (c) => [
	{ dtype: type0(c).dtype, shape: spread(c.types) },
];
const compare: Rule = (c) => [{ dtype: "bool", shape: spread(c.types) }];

const arg: Rule = (c) => {
	const shape = shape0(c);
	const axis = axisOf(intAttr(c.node, "axis", 0), shape?.length ?? 0);
	const keep = intAttr(c.node, "keepdims", 1) === 1;
	return [
		{
			dtype: "int64",
			shape: keep
				? shape?.map((d, i) => (i === axis ? 1 : d))
				: shape?.filter((_, i) => i !== axis),
		},
	];
};

/** Operators that work element by element, make values, or ask about them. */
export const elementwiseRules: Record<string, Rule> = {
	ArgMax: arg,
	ArgMin: arg,
	Where: (c) => [
		{ dtype: c.types[1]?.dtype ?? "float32", shape: spread(c.types) },
	],
	Cast: (c) => {
		const dtype = dtypeOf(intAttr(c.node, "to", 0));
		return [dtype && { dtype, shape: shape0(c) }];
	},
	Dropout: (c) => [type0(c), { dtype: "bool", shape: shape0(c) }],
	IsNaN: (c) => [{ dtype: "bool", shape: shape0(c) }],
	Shape: (c) => {
		const rank = shape0(c)?.length;
		if (rank === undefined) return [{ dtype: "int64", shape: [freshDim()] }];
		const clamp = (v: number) => Math.min(Math.max(axisOf(v, rank), 0), rank);
		const start = clamp(intAttr(c.node, "start", 0));
		const end = clamp(intAttr(c.node, "end", rank));
		return [{ dtype: "int64", shape: [Math.max(0, end - start)] }];
	},
	Size: () => [{ dtype: "int64", shape: [] }],
	NonZero: (c) => [
		{ dtype: "int64", shape: [shape0(c)?.length ?? freshDim(), freshDim()] },
	],
	Range: (c) => {
		const [start, limit, delta] = [0, 1, 2].map((i): Dim | undefined => {
			const tensor = c.consts[i];
			return tensor ? Number(tensor.data[0]) : c.types[i]?.ints?.[0];
		});
		let size: Dim | undefined;
		if (
			typeof start === "number" &&
			typeof limit === "number" &&
			typeof delta === "number"
		)
			size = Math.max(0, Math.ceil((limit - start) / delta));
		// As many whole numbers as a size says.
		else if (start === 0 && delta === 1) size = limit;
		return [{ dtype: type0(c).dtype, shape: [size ?? freshDim()] }];
	},
	Constant: (c) => {
		const { value, value_float, value_floats, value_int, value_ints } =
			c.node.attrs;
		if (value?.kind === "tensor")
			return [{ dtype: value.value.dtype, shape: value.value.dims }];
		const list = value_floats ?? value_ints;
		const some = list ?? value_float ?? value_int;
		return [
			some && {
				dtype: value_float || value_floats ? "float32" : "int64",
				shape: Array.isArray(list?.value) ? [list.value.length] : [],
			},
		];
	},
	ConstantOfShape: (c) => {
		const dims = dimsGiven(c, 0, "shape")?.map((d) => d ?? freshDim());
		const rank = c.types[0]?.shape?.[0];
		const value = c.node.attrs.value;
		return [
			{
				dtype: value?.kind === "tensor" ? value.value.dtype : "float32",
				shape:
					dims ??
					(typeof rank === "number"
						? Array.from({ length: rank }, freshDim)
						: undefined),
			},
		];
	},
};
for (const op of "Identity Neg Abs Sign Exp Log Sqrt Reciprocal Erf Tanh Sigmoid Softplus Relu LeakyRelu Elu Gelu Sin Cos Floor Ceil Round Not Clip Softmax LogSoftmax CumSum Trilu".split(
	" ",
))
	elementwiseRules[op] = same;
for (const op of "Add Sub Mul Div Pow Max Min Mean Sum And Or Xor Mod".split(
	" ",
))
	elementwiseRules[op] = broadcast;
for (const op of "Equal Greater GreaterOrEqual Less LessOrEqual".split(" "))
	elementwiseRules[op] = compare;
