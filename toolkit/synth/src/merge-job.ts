import { asWattvoxError, type ErrorCode } from "@wattvox/core";
import {
	decodeSafetensors,
	mergeLoraBytes,
	weightChanges,
} from "@wattvox/onnx/patch";

/** An adapter and the graphs that it belongs into. */
export interface MergeJob {
	text: Uint8Array;
	decoder: Uint8Array;
	adapter: Uint8Array;
	/** Factor of B A. */
	scale: number;
}

/** What became of it: a value, since it may come from another thread. */
export type MergeResult =
	| {
			ok: true;
			text: Uint8Array;
			decoder: Uint8Array;
			/** Weights that a change was found for, and changes in all. */
			found: number;
			changes: number;
	  }
	| { ok: false; code: ErrorCode; message: string };

/** Merges an adapter into a voice's graphs; see {@link mergedGraphs}. */
export function merge({
	text,
	decoder,
	adapter,
	scale,
}: MergeJob): MergeResult {
	try {
		const changes = weightChanges(decodeSafetensors(adapter).tensors);
		const found = new Set<string>();
		const one = (model: Uint8Array) => {
			const result = mergeLoraBytes(model, changes, scale);
			for (const name of result.merged) found.add(name);
			return result.model;
		};
		return {
			ok: true,
			text: one(text),
			decoder: one(decoder),
			found: found.size,
			changes: changes.size,
		};
	} catch (thrown) {
		const { code, message } = asWattvoxError(thrown);
		return { ok: false, code, message };
	}
}
