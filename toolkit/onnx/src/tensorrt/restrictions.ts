import {
	intAttr,
	intsAttr,
	type Node,
	stringAttr,
	type ValueType,
} from "../types.ts";
import type { TensorrtVersion } from "./operators.ts";

/** What a restriction may look at. */
export interface NodeView {
	node: Node;
	version: TensorrtVersion;
	/** Types of the inputs; undefined for absent ones and where nothing is known. */
	types: readonly (ValueType | undefined)[];
	/** Whether input i is absent or fixed when the engine is built. */
	fixed(i: number): boolean;
}

/** Why a node is not taken although its operator is, or undefined when it is. */
type Restriction = (view: NodeView) => string | undefined;

const fixedInput =
	(i: number, what: string, only?: TensorrtVersion): Restriction =>
	({ fixed, version }) =>
		fixed(i) || (only && only !== version)
			? undefined
			: `its ${what} must be an initialiser`;

const oneOf =
	(name: string, fallback: string, allowed: readonly string[]): Restriction =>
	({ node }) => {
		const value = stringAttr(node, name, fallback);
		return allowed.includes(value) ? undefined : `${name} "${value}"`;
	};

const all =
	(...restrictions: Restriction[]): Restriction =>
	(view) => {
		for (const restriction of restrictions) {
			const why = restriction(view);
			if (why) return why;
		}
		return undefined;
	};

const windows: Restriction = ({ node, types }) => {
	const rank = types[0]?.shape?.length;
	if (rank !== undefined && rank !== 4 && rank !== 5)
		return `its windows have ${rank - 2} dimensions, 2 or 3 are taken`;
	return intsAttr(node, "dilations")?.some((d) => d !== 1)
		? "its windows are dilated"
		: undefined;
};

const firstOutputOnly: Restriction = ({ node }) =>
	node.outputs.slice(1).some(Boolean)
		? "only its first output is taken"
		: undefined;

const plainRecurrence: Restriction = ({ node }) => {
	if (intAttr(node, "layout", 0)) return "layout 1";
	return intAttr(node, "input_forget", 0) ? "input_forget 1" : undefined;
};

const seedless: Restriction = () =>
	"its seed is ignored: make the noise an input";

const reduceAxes = fixedInput(1, "axes", "10");

/**
 * Restrictions beside the element types, from the same tables. Random operators are taken by TensorRT and
 * refused here: speech would differ from run to run.
 */
export const RESTRICTIONS: Readonly<Record<string, Restriction>> = {
	AveragePool: windows,
	MaxPool: all(windows, firstOutputOnly),
	// 8.x takes weights only as initialisers; 10 also as tensors.
	Conv: fixedInput(1, "weights", "8.5"),
	ConvTranspose: fixedInput(1, "weights", "8.5"),
	CumSum: fixedInput(1, "axis"),
	Dropout: fixedInput(2, "training mode"),
	Einsum: ({ node, version }) =>
		version === "8.5" && stringAttr(node, "equation", "").includes("...")
			? "its equation has an ellipsis"
			: undefined,
	InstanceNormalization: ({ fixed, types, version }) => {
		if (version !== "8.5") return undefined;
		if (!fixed(1) || !fixed(2)) return "scale and B must be initialisers";
		const rank = types[0]?.shape?.length ?? 3;
		return rank < 3 || rank > 5 ? `its input has ${rank} axes` : undefined;
	},
	LayerNormalization: firstOutputOnly,
	LSTM: plainRecurrence,
	GRU: plainRecurrence,
	RNN: plainRecurrence,
	OneHot: fixedInput(1, "depth"),
	Pad: all(
		oneOf("mode", "constant", ["constant", "reflect", "edge"]),
		fixedInput(3, "axes", "10"),
	),
	ReduceL1: reduceAxes,
	ReduceL2: reduceAxes,
	ReduceLogSum: reduceAxes,
	ReduceLogSumExp: reduceAxes,
	ReduceMax: reduceAxes,
	ReduceMean: reduceAxes,
	ReduceMin: reduceAxes,
	ReduceProd: reduceAxes,
	ReduceSum: reduceAxes,
	ReduceSumSquare: reduceAxes,
	Resize: all(
		oneOf("coordinate_transformation_mode", "half_pixel", [
			"half_pixel",
			"pytorch_half_pixel",
			"tf_half_pixel_for_nn",
			"asymmetric",
			"align_corners",
		]),
		oneOf("mode", "nearest", ["nearest", "linear"]),
		oneOf("nearest_mode", "round_prefer_floor", [
			"floor",
			"ceil",
			"round_prefer_floor",
			"round_prefer_ceil",
		]),
		oneOf("keep_aspect_ratio_policy", "stretch", ["stretch"]),
		({ node }) =>
			intAttr(node, "antialias", 0) ? "it is antialiased" : undefined,
	),
	ScatterND: oneOf("reduction", "none", ["none"]),
	ScatterElements: oneOf("reduction", "none", ["none"]),
	Slice: fixedInput(3, "axes"),
	Squeeze: fixedInput(1, "axes"),
	Unsqueeze: fixedInput(1, "axes"),
	TopK: all(fixedInput(1, "K", "8.5"), ({ node }) =>
		intAttr(node, "sorted", 1) ? undefined : "it is not sorted",
	),
	Upsample: oneOf("mode", "nearest", ["nearest", "linear"]),
	RandomNormal: seedless,
	RandomNormalLike: seedless,
	RandomUniform: seedless,
	RandomUniformLike: seedless,
};
