// The FFI seam: the only file that knows koffi. It binds native/wattvox_trt.h, prototype by prototype.
import { promisify } from "node:util";
import { WattvoxError } from "@wattvox/core";
import koffi from "koffi";

/** WV_ABI that this file binds. */
export const ABI = 2;
/** WV_WHY, WV_NAME, WV_DIM_NAME and WV_DIMS. */
export const WHY = 512;
const NAME = 256;
const DIM_NAME = 64;
export const DIMS = 8;

for (const handle of ["wv_runtime", "wv_build", "wv_engine", "wv_run"])
	koffi.opaque(handle);
koffi.struct("wv_facts", {
	library: koffi.array("int32_t", 4),
	headers: koffi.array("int32_t", 3),
	cuda: "int32_t",
	driver: "int32_t",
	capability: koffi.array("int32_t", 2),
	multiprocessors: "int32_t",
	memory: "int64_t",
	device: koffi.array("char", NAME, "String"),
});
koffi.struct("wv_tensor", {
	input: "int32_t",
	dtype: "int32_t",
	rank: "int32_t",
	reserved: "int32_t",
	dims: koffi.array("int64_t", DIMS, "Array"),
	name: koffi.array("char", NAME, "String"),
	dim_names: koffi.array("char", DIMS * DIM_NAME, "Array"),
});
koffi.struct("wv_progress", {
	step: "int32_t",
	steps: "int32_t",
	phase: koffi.array("char", NAME, "String"),
});

/** Names and types of each function's parameters, as the header has them; `why` is last where there is one. */
export const PROTOTYPES = {
	wv_abi: "int32_t wv_abi()",
	wv_log:
		"int32_t wv_log(uint64_t after, _Out_ uint64_t *number, _Out_ int32_t *level, _Out_ char *text)",
	wv_runtime_open: "int32_t wv_runtime_open(_Out_ wv_runtime **out, char *why)",
	wv_runtime_close: "void wv_runtime_close(wv_runtime *runtime)",
	wv_runtime_facts:
		"int32_t wv_runtime_facts(wv_runtime *runtime, _Out_ wv_facts *out, char *why)",
	wv_build_open:
		"int32_t wv_build_open(wv_runtime *runtime, _Out_ wv_build **out, char *why)",
	wv_build_close: "void wv_build_close(wv_build *build)",
	wv_build_parse:
		"int32_t wv_build_parse(wv_build *build, const void *onnx, uint64_t size, const char *path, char *why)",
	wv_build_tensor:
		"int32_t wv_build_tensor(wv_build *build, int32_t index, _Out_ wv_tensor *out)",
	wv_build_set:
		"int32_t wv_build_set(wv_build *build, int32_t option, int64_t value, char *why)",
	wv_build_range:
		"int32_t wv_build_range(wv_build *build, int32_t profile, const char *input, int32_t rank, const int64_t *min, const int64_t *opt, const int64_t *max, char *why)",
	wv_build_cache:
		"int32_t wv_build_cache(wv_build *build, const void *data, uint64_t size, char *why)",
	wv_build_run: "int32_t wv_build_run(wv_build *build, char *why)",
	wv_build_progress:
		"int32_t wv_build_progress(wv_build *build, _Out_ wv_progress *out)",
	wv_build_cancel: "void wv_build_cancel(wv_build *build)",
	wv_build_size:
		"int32_t wv_build_size(wv_build *build, int32_t result, _Out_ uint64_t *out)",
	wv_build_read:
		"int32_t wv_build_read(wv_build *build, int32_t result, void *into, uint64_t size)",
	wv_engine_open:
		"int32_t wv_engine_open(wv_runtime *runtime, const void *plan, uint64_t size, _Out_ wv_engine **out, char *why)",
	wv_engine_close: "void wv_engine_close(wv_engine *engine)",
	wv_engine_tensor:
		"int32_t wv_engine_tensor(wv_engine *engine, int32_t index, _Out_ wv_tensor *out)",
	wv_engine_range:
		"int32_t wv_engine_range(wv_engine *engine, int32_t index, int32_t profile, _Out_ int64_t *min, _Out_ int64_t *opt, _Out_ int64_t *max)",
	wv_engine_weight:
		"int32_t wv_engine_weight(wv_engine *engine, int32_t index, _Out_ char *name)",
	wv_engine_weight_set:
		"int32_t wv_engine_weight_set(wv_engine *engine, const char *name, int32_t dtype, const void *data, uint64_t count, char *why)",
	wv_engine_refit: "int32_t wv_engine_refit(wv_engine *engine, char *why)",
	wv_engine_serialize:
		"int32_t wv_engine_serialize(wv_engine *engine, _Out_ uint64_t *size, char *why)",
	wv_engine_take:
		"int32_t wv_engine_take(wv_engine *engine, void *into, uint64_t size)",
	wv_run_open:
		"int32_t wv_run_open(wv_engine *engine, _Out_ wv_run **out, char *why)",
	wv_run_close: "void wv_run_close(wv_run *run)",
	wv_run_feed:
		"int32_t wv_run_feed(wv_run *run, int32_t index, int32_t rank, const int64_t *dims, const void *data, uint64_t bytes, char *why)",
	wv_run_start: "int32_t wv_run_start(wv_run *run, char *why)",
	wv_run_wait:
		"int32_t wv_run_wait(wv_run *run, int32_t milliseconds, char *why)",
	wv_run_shape:
		"int32_t wv_run_shape(wv_run *run, int32_t index, _Out_ int32_t *rank, _Out_ int64_t *dims, _Out_ uint64_t *bytes)",
	wv_run_read:
		"int32_t wv_run_read(wv_run *run, int32_t index, void *into, uint64_t bytes)",
} as const;

export type FunctionName = keyof typeof PROTOTYPES;

/** wv_tensor with its dimensions' names apart; those beyond the rank are left out. */
export interface NativeTensor {
	input: boolean;
	dtype: number;
	dims: number[];
	name: string;
	dimNames: string[];
}

/** A loaded library: its functions by name, called in this thread or away from it. */
export interface Library {
	readonly path: string;
	/** Calls and waits; for what returns at once. */
	call(name: FunctionName, ...args: unknown[]): number;
	/** Calls on a thread of koffi's; for what blocks. What is passed must not change until then. */
	away(name: FunctionName, ...args: unknown[]): Promise<number>;
}

/**
 * Loads a library and finds all its functions.
 * @throws WattvoxError E_TENSORRT: not there, no library, lacks a function, or another ABI
 */
export function loadLibrary(path: string): Library {
	const functions = new Map<string, Bound>();
	try {
		const loaded = koffi.load(path);
		// first, so that an older library is told by its number and not by what it lacks
		const abi = loaded.func(PROTOTYPES.wv_abi)();
		if (abi !== ABI)
			throw new WattvoxError(
				"E_TENSORRT",
				`${path} has ABI ${abi}, this program speaks ${ABI}: compile the shim again (wattvox engine shim)`,
			);
		for (const [name, prototype] of Object.entries(PROTOTYPES))
			functions.set(name, loaded.func(prototype));
	} catch (thrown) {
		if (thrown instanceof WattvoxError) throw thrown;
		throw new WattvoxError(
			"E_TENSORRT",
			`${path}: ${thrown instanceof Error ? thrown.message : thrown}`,
			{ cause: thrown },
		);
	}
	const of = (name: FunctionName) => functions.get(name) as Bound;
	return {
		path,
		call: (name, ...args) => of(name)(...args) ?? 0,
		away: async (name, ...args) => {
			const call = promisify(of(name).async as (...all: unknown[]) => void);
			try {
				return (await (call as (...all: unknown[]) => Promise<unknown>)(
					...args,
				)) as number;
			} finally {
				// Used until here, so that no buffer is collected while native code reads or writes it.
				args.length = 0;
			}
		},
	};
}

type Bound = ReturnType<ReturnType<typeof koffi.load>["func"]>;

/** Splits what koffi made of a wv_tensor. */
export function nativeTensor(from: Record<string, unknown>): NativeTensor {
	const rank = from.rank as number;
	const letters = from.dim_names as ArrayLike<number>;
	const dimNames = Array.from({ length: rank }, (_, i) => {
		const bytes = Uint8Array.from(
			{ length: DIM_NAME },
			(_, k) => letters[i * DIM_NAME + k] ?? 0,
		);
		const end = bytes.indexOf(0);
		return Buffer.from(bytes.subarray(0, end < 0 ? DIM_NAME : end)).toString();
	});
	return {
		input: from.input === 1,
		dtype: from.dtype as number,
		dims: Array.from(from.dims as ArrayLike<number>, Number).slice(0, rank),
		name: from.name as string,
		dimNames,
	};
}
