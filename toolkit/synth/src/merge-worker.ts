// Merges an adapter in a thread of its own: it is pure computing, during which the voice that speaks must
// not stutter, and takes memory that goes back when the thread ends.
import { parentPort, workerData } from "node:worker_threads";
import { type MergeJob, merge } from "./merge-job.ts";

const result = merge(workerData as MergeJob);
const moved = result.ok
	? [result.text.buffer as ArrayBuffer, result.decoder.buffer as ArrayBuffer]
	: [];
parentPort?.postMessage(result, moved);
