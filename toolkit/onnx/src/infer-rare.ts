import { broadcastShapes } from "./dims.ts";
import { type Rule, shape0, type0 } from "./infer-context.ts";
import { dtypeOf, intAttr } from "./types.ts";

/** Operators that work element by element and stand in fewer models. */
export const rareRules: Record<string, Rule> = {
	IsInf: (c) => [{ dtype: "bool", shape: shape0(c) }],
	CastLike: (c) => {
		const dtype = c.types[1]?.dtype;
		return [dtype && { dtype, shape: shape0(c) }];
	},
	EyeLike: (c) => [
		{
			dtype: dtypeOf(intAttr(c.node, "dtype", 0)) ?? type0(c).dtype,
			shape: shape0(c),
		},
	],
	QuantizeLinear: (c) => [
		{ dtype: c.types[2]?.dtype ?? "uint8", shape: shape0(c) },
	],
	DequantizeLinear: (c) => [
		{ dtype: c.types[1]?.dtype ?? "float32", shape: shape0(c) },
	],
};
for (const op of "Selu Celu PRelu ThresholdedRelu HardSigmoid HardSwish Mish Swish Softsign Shrink Tan Asin Acos Atan Sinh Cosh Asinh Acosh Atanh Hardmax BitwiseNot RandomNormalLike RandomUniformLike Bernoulli ReverseSequence".split(
	" ",
))
	rareRules[op] = (c) => [type0(c)];
for (const op of "BitShift BitwiseAnd BitwiseOr BitwiseXor".split(" "))
	rareRules[op] = (c) => [
		{
			dtype: type0(c).dtype,
			shape: broadcastShapes(...c.types.map((t) => t?.shape)),
		},
	];
