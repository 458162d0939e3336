import type { DType } from "../types.ts";

/**
 * TensorRT versions that exported graphs are held to: 8.5 is JetPack 5's, 10 stands for 10.1 and later,
 * JetPack 6's and 7's.
 */
export const TENSORRT_VERSIONS = ["8.5", "10"] as const;
export type TensorrtVersion = (typeof TENSORRT_VERSIONS)[number];

/** Opsets that the version's parser reads, both ends included. */
export const TENSORRT_OPSETS: Record<TensorrtVersion, [number, number]> = {
	"8.5": [7, 17],
	"10": [9, 20],
};

/** One letter per element type: f, h, b are float32, float16, bfloat16; i, l are int32, int64; t is bool. */
const LETTER: Partial<Record<DType, string>> = {
	float32: "f",
	// The parser narrows doubles to floats.
	float64: "f",
	float16: "h",
	bfloat16: "b",
	int32: "i",
	int64: "l",
	int8: "q",
	uint8: "u",
	bool: "t",
};

/**
 * Operators that TensorRT's ONNX parser takes, with the element types of their data under 8.5 and under
 * 10; empty where the version lacks the operator. The facts are those of docs/operators.md in the public
 * repository onnx/onnx-tensorrt, branches 8.5-GA and 10.1-GA.
 */
const TABLE: readonly [v85: string, v10: string, ops: string][] = [
	[
		"fhi",
		"fhbil",
		"Abs Add DepthToSpace Div Equal Greater GreaterOrEqual IsNaN Less LessOrEqual Max Mean Min Mod Mul Neg Range Shrink SpaceToDepth Sub Sum",
	],
	[
		"fh",
		"fhb",
		"Acos Acosh Asin Asinh Atan Atanh BatchNormalization Ceil Celu Cos Cosh CumSum Dropout Einsum Erf Exp Floor GRU ImageScaler InstanceNormalization LRN LSTM Log LogSoftmax LpNormalization MatMul MeanVarianceNormalization Pow QuantizeLinear RNN Reciprocal Resize Scan Sin Sinh Softmax Sqrt Tan Upsample",
	],
	["t", "t", "And Not Or Xor"],
	[
		"fh",
		"fhbil",
		"ArgMax ArgMin ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare TopK",
	],
	["fhqi", "fhb", "AveragePool"],
	["fhiqt", "fhbilut", "Cast"],
	["", "fhbilut", "CastLike"],
	[
		"fhq",
		"fhb",
		"Clip Conv ConvTranspose Elu Gemm GlobalAveragePool GlobalLpPool GlobalMaxPool HardSigmoid HardSwish LeakyRelu LpPool MaxPool PRelu ParametricSoftplus Round ScaledTanh Selu Sigmoid Softplus Softsign Tanh ThresholdedRelu",
	],
	[
		"fhiqt",
		"fhbilt",
		"Concat Constant Identity Reshape Shape Size Slice Squeeze Transpose Trilu Unsqueeze",
	],
	["f", "fhbilt", "ConstantOfShape"],
	["", "fh", "DeformConv Mish"],
	["q", "q", "DequantizeLinear"],
	["fhit", "fhbilt", "Expand EyeLike Flatten If Loop OneHot Split Tile Where"],
	["fhqit", "fhbilt", "Gather GatherElements GatherND"],
	["", "fhbqil", "Gelu"],
	["fh", "fh", "GridSample NonMaxSuppression NonZero RoiAlign"],
	["", "fhb", "GroupNormalization Hardmax IsInf LayerNormalization"],
	["fhqi", "fhbil", "Pad Scatter ScatterElements ScatterND Sign"],
	["fhq", "fhbil", "Relu"],
	["fh", "fhbilt", "ReverseSequence"],
];

const TYPES = new Map(
	TABLE.flatMap(([v85, v10, ops]) =>
		ops.split(" ").map((op) => [op, { "8.5": v85, "10": v10 }] as const),
	),
);

/** Whether a version's parser knows the operator at all. */
export const tensorrtHas = (op: string, version: TensorrtVersion): boolean =>
	Boolean(TYPES.get(op)?.[version]);

/** Whether a version's parser takes the operator on data of an element type. */
export function tensorrtTakes(
	op: string,
	dtype: DType,
	version: TensorrtVersion,
): boolean {
	let letter = LETTER[dtype];
	// 8.5 has no int64 and reads it as int32; that the values fit is checked apart.
	if (letter === "l" && version === "8.5") letter = "i";
	return letter !== undefined && !!TYPES.get(op)?.[version].includes(letter);
}
