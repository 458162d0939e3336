import { REFUSED } from "./refused.ts";
import { type DifferentiableOp, RULES, ZERO_GRADIENT } from "./rules.ts";

/** Every operator of ONNX's standard domain, opset 13 to 24. */
const STANDARD =
	"Abs Acos Acosh Add AffineGrid And ArgMax ArgMin Asin Asinh Atan Atanh Attention AveragePool BatchNormalization Bernoulli BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor BlackmanWindow Cast CastLike Ceil Celu CenterCropPad Clip Col2Im Compress Concat ConcatFromSequence Constant ConstantOfShape Conv ConvInteger ConvTranspose Cos Cosh CumSum DFT DeformConv DepthToSpace DequantizeLinear Det Div Dropout DynamicQuantizeLinear Einsum Elu Equal Erf Exp Expand EyeLike Flatten Floor GRU Gather GatherElements GatherND Gelu Gemm GlobalAveragePool GlobalLpPool GlobalMaxPool Greater GreaterOrEqual GridSample GroupNormalization HammingWindow HannWindow HardSigmoid HardSwish Hardmax Identity If ImageDecoder InstanceNormalization IsInf IsNaN LRN LSTM LayerNormalization LeakyRelu Less LessOrEqual Log LogSoftmax Loop LpNormalization LpPool MatMul MatMulInteger Max MaxPool MaxRoiPool MaxUnpool Mean MeanVarianceNormalization MelWeightMatrix Min Mish Mod Mul Multinomial Neg NegativeLogLikelihoodLoss NonMaxSuppression NonZero Not OneHot Optional OptionalGetElement OptionalHasElement Or PRelu Pad Pow QLinearConv QLinearMatMul QuantizeLinear RMSNormalization RNN RandomNormal RandomNormalLike RandomUniform RandomUniformLike Range Reciprocal ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare RegexFullMatch Relu Reshape Resize ReverseSequence RoiAlign RotaryEmbedding Round STFT Scan ScatterElements ScatterND Selu SequenceAt SequenceConstruct SequenceEmpty SequenceErase SequenceInsert SequenceLength SequenceMap Shape Shrink Sigmoid Sign Sin Sinh Size Slice Softmax SoftmaxCrossEntropyLoss Softplus Softsign SpaceToDepth Split SplitToSequence Sqrt Squeeze StringConcat StringNormalizer StringSplit Sub Sum Swish Tan Tanh TensorScatter TfIdfVectorizer ThresholdedRelu Tile TopK Transpose Trilu Unique Unsqueeze Where Xor".split(
		" ",
	);

/** What a rule covers less than the whole of its operator, or does in a way worth knowing. */
export const LIMITS: Partial<Record<DifferentiableOp, string>> = {
	Attention:
		"its scores, as an output, are not differentiated; heads must be fixed",
	AveragePool:
		"auto_pad SAME with a stride only where the size is fixed, and without dilations",
	BatchNormalization:
		"fixed statistics, trained too; with training_mode those of the batch, not the running ones",
	Cast: "between floating types; a cast to integers passes zero",
	CastLike: "between floating types; a cast to integers passes zero",
	Clip: "bounds too, where they are inputs; inside includes the bounds",
	Conv: "any number of axes; the kernel's sizes must be fixed, padding as for AveragePool",
	Col2Im: "the block's sizes must be fixed",
	ConvTranspose:
		"any number of axes; the kernel's sizes must be fixed, and with output_shape the input's",
	DequantizeLinear:
		"the scale, for the whole tensor or for each slice of an axis; not what was quantised",
	Dropout: "in training with the mask that the same run drew",
	GRU: "Sigmoid and Tanh, sequence lengths, an initial state; no clip",
	Gather:
		"duplicates add up: by a one-hot product, or from 1025 rows and opset 16 on by ScatterElements",
	GatherND: "the length of an index must be fixed",
	GridSample:
		"the picture and the grid, every mode and padding; where a nearest neighbour changes, nothing flows to the grid",
	GlobalMaxPool: "ties share equally",
	LSTM: "Sigmoid and Tanh, sequence lengths, initial states, peepholes; no clip, no coupled gates",
	LayerNormalization:
		"its mean and deviation, as outputs, are not differentiated",
	LpNormalization: "a row of zeros has no gradient",
	Max: "ties share equally",
	MaxPool:
		"of ties the first takes all; padding as for AveragePool, indices in row-major order",
	Min: "ties share equally",
	Mod: "with fmod; at its jumps the slope of one side",
	NegativeLogLikelihoodLoss: "weights of classes are not trained",
	OneHot: "the two values; indices pass zero",
	Pad: "every mode; with reflect, edge and wrap axes must be fixed and borders not negative",
	Pow: "base and exponent; 0 where the base is 0 and the exponent's logarithm would not be",
	RNN: "Tanh or Relu, sequence lengths, initial states; no clip",
	ReduceL1: "at least one axis",
	ReduceL2: "at least one axis; 0 where the norm is 0",
	ReduceLogSum: "at least one axis",
	ReduceLogSumExp: "at least one axis",
	ReduceMax: "ties share equally",
	ReduceMin: "ties share equally",
	ReduceProd: "zeros among the factors included",
	ReduceSumSquare: "at least one axis",
	Resize:
		"nearest, linear and cubic, every coordinate transformation but tf_crop_and_resize; no kept aspect ratio",
	ScatterElements: "reductions none and add",
	ScatterND:
		"reductions none and add; ONNX Runtime's own ScatterND(add) may add wrongly with more than one thread",
	STFT: "a real signal, and the window; frame_step and frame_length must be fixed",
	Slice: "any starts, ends and steps; axes must be fixed",
	SoftmaxCrossEntropyLoss:
		"the loss and the log-probabilities; weights of classes are not trained",
	Sqrt: "0 where the root is 0, as PyTorch's norms and deviations have it",
	TopK: "the values",
};

/** What {@link differentiate} does with an operator of the standard domain, or of another that it knows. */
export interface OperatorSupport {
	op: string;
	support: "differentiable" | "zero-gradient" | "unsupported";
	/** What limits that; empty when nothing does. */
	note: string;
}

/** Every operator of the standard domain and what becomes of gradients there, in alphabetical order. */
export function operatorSupport(): OperatorSupport[] {
	const all = new Set([...STANDARD, ...Object.keys(RULES), ...ZERO_GRADIENT]);
	return [...all].sort().map((op): OperatorSupport => {
		if (Object.hasOwn(RULES, op))
			return {
				op,
				support: "differentiable",
				note: LIMITS[op as DifferentiableOp] ?? "",
			};
		return ZERO_GRADIENT.has(op)
			? { op, support: "zero-gradient", note: "" }
			: { op, support: "unsupported", note: REFUSED[op] ?? "" };
	});
}

/** docs/OPERATORS.md. */
export function operatorsPage(): string {
	const list = operatorSupport();
	const count = (s: OperatorSupport["support"]): number =>
		list.filter((o) => o.support === s).length;
	const rows = list.map((o) => `| ${o.op} | ${o.support} | ${o.note} |`);
	return `# Operators and their gradients

What \`differentiate\`, \`wattvox grad\` and training do with each operator of ONNX's standard domain, opset 13 and later. This page is written by \`npm run operators\`; a test holds it against the rules.

- **differentiable** (${count("differentiable")}): has a rule, checked against finite differences with random shapes and attributes.
- **zero-gradient** (${count("zero-gradient")}): its output does not move with its inputs, or only in steps; nothing flows back through it.
- **unsupported** (${count("unsupported")}): on the way from a loss to a trained value it fails with \`E_OP_UNSUPPORTED\`, naming node, operator and opset. Off that way it does not matter.

Gradients are float32. Ranks must be known; sizes may be symbols, or be known only when the graph runs. Integer inputs and outputs pass nothing. Functions that a model defines are replaced by their nodes when its file is read.

| operator | gradient | note |
|---|---|---|
${rows.join("\n")}
`;
}
