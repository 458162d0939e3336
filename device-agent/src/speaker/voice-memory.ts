import type { Runtime } from "./messages.ts";

/** Sizes of what a voice is loaded from, bytes. */
export interface VoiceSizes {
	/** Its graphs, as they are in its bundle. */
	text: number;
	decoder: number;
	/** The file of the engine that it is to speak by, where there is one. */
	engine?: number | undefined;
}

/** Memory that a voice takes by each runtime, bytes: estimates. `tensorrt` only where it has an engine. */
export type VoiceMemory = { onnxruntime: number } & Partial<
	Record<Runtime, number>
>;

/**
 * Bytes in memory for each byte of a graph: weights are stored as halves and computed as singles, ONNX
 * Runtime packs them once more, and its thread comes on top. Measured with the shipped base.
 */
const GRAPH = 5;
/**
 * Bytes in memory for each byte of an engine's file: the file as it is read, the weights on the device, whose
 * memory is the same on a Jetson, and as much again for what TensorRT works in. Never measured on a Jetson.
 */
const ENGINE = 3;

/** Estimates a voice's memory from what lies on the disk, before any of it is opened. Pure. */
export function voiceMemory({
	text,
	decoder,
	engine,
}: VoiceSizes): VoiceMemory {
	return {
		onnxruntime: (text + decoder) * GRAPH,
		// the text side stays on ONNX Runtime
		...(engine !== undefined && { tensorrt: text * GRAPH + engine * ENGINE }),
	};
}
