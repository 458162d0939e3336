import { type ErrorCode, WattvoxError } from "@wattvox/core";
import type { Dtype } from "../tensor.ts";
import { type FunctionName, type Library, WHY } from "./ffi.ts";
import type { LogLine } from "./types.ts";

/** enum wv_status of native/wattvox_trt.h. */
export const STATUS = {
	ok: 0,
	pending: 1,
	busy: 2,
	argument: 3,
	unsupported: 4,
	model: 5,
	build: 6,
	engine: 7,
	shape: 8,
	refit: 9,
	memory: 10,
	device: 11,
	cancelled: 12,
	internal: 13,
} as const;

/** What each status is to a caller; busy and argument are mistakes of ours. */
const CODES: Record<number, ErrorCode> = {
	[STATUS.unsupported]: "E_OP_UNSUPPORTED",
	[STATUS.model]: "E_MODEL",
	[STATUS.build]: "E_ENGINE_BUILD",
	[STATUS.engine]: "E_ENGINE_LOAD",
	[STATUS.shape]: "E_MODEL",
	[STATUS.refit]: "E_ENGINE_REFIT",
	[STATUS.memory]: "E_MEMORY",
	[STATUS.device]: "E_TENSORRT",
	[STATUS.cancelled]: "E_INTERRUPTED",
};

/** enum wv_dtype, by number. */
export const DTYPES: readonly Dtype[] = [
	"float32",
	"float16",
	"int8",
	"int32",
	"bool",
	"uint8",
	"int64",
];

/** enum wv_level, by number. */
const LEVELS = ["fatal", "error", "warning", "info", "verbose"] as const;

/** The error for a status and its `why`. */
export function statusError(status: number, why: string): WattvoxError {
	return new WattvoxError(
		CODES[status] ?? "E_BUG",
		why || `TensorRT's shim answered ${status} and gave no reason`,
	);
}

/**
 * Calls a function that takes a `why` last, in this thread.
 * @throws WattvoxError by its status
 */
export function must(
	library: Library,
	name: FunctionName,
	...args: unknown[]
): void {
	const why = Buffer.alloc(WHY);
	const status = library.call(name, ...args, why);
	if (status !== STATUS.ok) throw statusError(status, text(why));
}

/** The same away from this thread. */
export async function mustAway(
	library: Library,
	name: FunctionName,
	...args: unknown[]
): Promise<void> {
	const why = Buffer.alloc(WHY);
	const status = await library.away(name, ...args, why);
	if (status !== STATUS.ok) throw statusError(status, text(why));
}

/** A C string out of its buffer. */
export function text(from: Uint8Array): string {
	const end = from.indexOf(0);
	return Buffer.from(from.subarray(0, end < 0 ? from.length : end)).toString();
}

/** All lines that the library's ring still has, oldest first. */
export function readLog(library: Library): LogLine[] {
	const lines: LogLine[] = [];
	const number = [0];
	const level = [0];
	const line = Buffer.alloc(WHY);
	for (let after = 0; ; after = Number(number[0])) {
		const status = library.call("wv_log", after, number, level, line);
		if (status !== STATUS.ok) return lines;
		lines.push({ level: LEVELS[level[0] ?? 0] ?? "verbose", text: text(line) });
	}
}
