import { Worker } from "node:worker_threads";
import { WattvoxError } from "@wattvox/core";
import type { MergeJob, MergeResult } from "./merge-job.ts";
import type { VoiceFiles } from "./voice-files.ts";

/**
 * The two graphs with the voice's adapter merged into their weights; as they are when it has none.
 * @param options.owned the files' buffers may be moved away
 * @param options.here in this thread, which saves the time that a new one needs to start
 * @returns `owned`: nobody else holds the graphs' buffers, and each covers its array
 * @throws WattvoxError E_FILE_MISSING, E_FILE_FORMAT, E_MODEL (the adapter does not fit this base);
 *   the signal's reason
 */
export async function mergedGraphs(
	files: VoiceFiles,
	options: {
		owned: boolean;
		here?: boolean | undefined;
		signal?: AbortSignal | undefined;
	},
): Promise<{ text: Uint8Array; decoder: Uint8Array; owned: boolean }> {
	const { config, text, decoder, adapter } = files;
	const { owned, here, signal } = options;
	if (!config.adapter) return { text, decoder, owned };
	if (!adapter)
		throw new WattvoxError(
			"E_FILE_MISSING",
			`voice ${config.name} needs ${config.adapter.file}`,
		);
	const { scale } = config.adapter;
	const job = { text, decoder, adapter, scale };
	const moved = owned ? [text, decoder, adapter].map((a) => a.buffer) : [];
	const result = here
		? (await import("./merge-job.ts")).merge(job)
		: await inThread(job, moved as ArrayBuffer[], signal);
	if (!result.ok) throw new WattvoxError(result.code, result.message);
	const { found, changes } = result;
	// A change that found no weight belongs to another base.
	if (found === 0 || found !== changes)
		throw new WattvoxError(
			"E_MODEL",
			`the adapter of voice ${config.name} fits ${found} of its ${changes} weights: it was made for another base`,
		);
	// Merged here, a graph that has no weight of the adapter is still the caller's.
	return {
		text: result.text,
		decoder: result.decoder,
		owned: owned || !here,
	};
}

function inThread(
	job: MergeJob,
	moved: ArrayBuffer[],
	signal?: AbortSignal,
): Promise<MergeResult> {
	return new Promise((resolve, reject) => {
		if (signal?.aborted) return reject(signal.reason);
		const worker = new Worker(new URL("./merge-worker.js", import.meta.url), {
			workerData: job,
			transferList: moved,
		});
		const abort = () => {
			reject(signal?.reason);
			void worker.terminate();
		};
		signal?.addEventListener("abort", abort, { once: true });
		worker.once("message", resolve);
		worker.once("error", (error) =>
			reject(
				new WattvoxError(
					(error as NodeJS.ErrnoException).code === "ERR_WORKER_OUT_OF_MEMORY"
						? "E_MEMORY"
						: "E_BUG",
					`the adapter could not be merged: ${error.message}`,
					{ cause: error },
				),
			),
		);
		worker.once("exit", (code) => {
			signal?.removeEventListener("abort", abort);
			// After a message or an error this changes nothing.
			reject(new WattvoxError("E_BUG", `the merging thread ended (${code})`));
		});
	});
}
