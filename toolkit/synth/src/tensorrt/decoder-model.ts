import {
	bytesOf,
	decodeModel,
	encodeModel,
	type Graph,
	inferTypes,
	type Tensor as OnnxTensor,
	requireTensorrt,
	type TensorrtVersion,
	toTensorrt,
} from "@wattvox/onnx";
import type { Port, Tensor } from "@wattvox/runtime";
import type { Ports, Weights } from "@wattvox/runtime/tensorrt";
import { mergedGraphs } from "../merge.ts";
import type { VoiceFiles } from "../voice-files.ts";

/**
 * A voice's decoder as TensorRT is given it. Only the decoder goes there: it makes nearly all of the
 * computing, and it always runs on the same number of frames, so that its engine has fixed shapes and needs
 * no profile. The text side, whose length varies, stays on ONNX Runtime.
 */
export interface DecoderModel {
	/** ONNX of the base's decoder without any adapter: equal for all voices of a base. */
	base: Uint8Array;
	/** The same with the voice's adapter merged into its weights; `base` itself when it has none. */
	merged: Uint8Array;
	/** The voice's float32 weights by initialiser name: what turns an engine of `base` into the voice's. */
	weights: Weights;
	/** Those of them that the adapter changed. */
	changed: readonly string[];
	/** Inputs and outputs, all of fixed shape. */
	ports: Ports;
}

/** The column of the operator table for a TensorRT version, major.minor.patch. */
export const tensorrtColumn = (tensorrt: string): TensorrtVersion =>
	Number.parseInt(tensorrt, 10) < 10 ? "8.5" : "10";

/**
 * Makes it.
 * @param tensorrt the version that is to build, major.minor.patch
 * @throws WattvoxError E_TENSORRT_OP (this TensorRT lacks something), E_MODEL, E_FILE_FORMAT,
 *   E_FILE_MISSING (the adapter)
 */
export async function decoderModel(
	files: VoiceFiles,
	tensorrt: string,
): Promise<DecoderModel> {
	const { chunk, halo } = files.config;
	const version = tensorrtColumn(tensorrt);
	const prepare = (model: Uint8Array): Graph => {
		const graph = fixFrames(decodeModel(model), chunk + 2 * halo);
		requireTensorrt(graph, [version]);
		return toTensorrt(graph, version);
	};
	const graphs = await mergedGraphs(files, { owned: false, here: true });
	const base = prepare(files.decoder);
	const merged = files.config.adapter ? prepare(graphs.decoder) : base;
	const baseBytes = encodeModel(base);
	return {
		base: baseBytes,
		merged: merged === base ? baseBytes : encodeModel(merged),
		weights: Object.fromEntries(
			[...merged.initializers].filter(isFloat).map(([name, t]) => [name, t]),
		),
		changed: [...merged.initializers.keys()].filter(
			(name) =>
				merged !== base &&
				!sameBytes(merged.initializers.get(name), base.initializers.get(name)),
		),
		ports: { inputs: portsOf(merged.inputs), outputs: portsOf(merged.outputs) },
	};
}

function sameBytes(a?: OnnxTensor, b?: OnnxTensor): boolean {
	return a && b
		? Buffer.compare(bytesOf(a.data), bytesOf(b.data)) === 0
		: false;
}

function isFloat(
	entry: [string, OnnxTensor],
): entry is [string, OnnxTensor & Tensor<"float32">] {
	return entry[1].dtype === "float32";
}

/** The graph with every free dimension set to `frames`: the decoder has that one alone. */
function fixFrames(graph: Graph, frames: number): Graph {
	const inputs = graph.inputs.map((v) => ({
		...v,
		shape: v.shape?.map((d) => (typeof d === "string" ? frames : d)),
	}));
	// What the file declares of inner values speaks of the free dimension.
	const fixed: Graph = { ...graph, inputs, valueInfo: new Map() };
	const types = inferTypes({ ...fixed, outputs: [] });
	return {
		...fixed,
		outputs: graph.outputs.map((v) => ({
			...v,
			shape: types.get(v.name)?.shape ?? v.shape,
		})),
	};
}

const portsOf = (values: Graph["inputs"]): Port[] =>
	values.map(({ name, dtype, shape }) => ({
		name,
		dtype: dtype as Port["dtype"],
		shape: shape ?? [],
	}));
