// Merges an adapter into a voice's graphs, in a thread of its own: it takes a second of pure
// computing, during which the voice that speaks must not stutter, and a lot of memory, which goes
// back when the thread ends.
import { parentPort, workerData } from "node:worker_threads";
import { asWattvoxError, type ErrorCode } from "@wattvox/core";
import {
	decodeModel,
	decodeSafetensors,
	encodeModel,
	loraPairs,
	mergeLora,
	widenWeights,
} from "@wattvox/onnx";

/** What the thread is given. */
export interface MergeJob {
	text: Uint8Array;
	decoder: Uint8Array;
	adapter: Uint8Array;
	/** Factor of B A. */
	scale: number;
}

/** What it answers. */
export type MergeResult =
	| {
			ok: true;
			text: Uint8Array;
			decoder: Uint8Array;
			/** Weights that an adapter pair was found for, and pairs in all. */
			found: number;
			pairs: number;
	  }
	| { ok: false; code: ErrorCode; message: string };

function merge({ text, decoder, adapter, scale }: MergeJob): MergeResult {
	try {
		const { tensors } = decodeSafetensors(adapter);
		const found = new Set<string>();
		const one = (model: Uint8Array) => {
			const graph = widenWeights(decodeModel(model));
			const result = mergeLora(graph, tensors, scale);
			for (const name of result.merged) found.add(name);
			if (result.merged.length === 0) return model;
			// Its own buffer, whole, so that it can be moved.
			return encodeModel(result.graph).slice();
		};
		return {
			ok: true,
			text: one(text),
			decoder: one(decoder),
			found: found.size,
			pairs: loraPairs(tensors).size,
		};
	} catch (thrown) {
		const { code, message } = asWattvoxError(thrown);
		return { ok: false, code, message };
	}
}

const result = merge(workerData as MergeJob);
const moved = result.ok
	? [result.text.buffer as ArrayBuffer, result.decoder.buffer as ArrayBuffer]
	: [];
parentPort?.postMessage(result, moved);
