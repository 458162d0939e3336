import { readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { WattvoxError } from "@wattvox/core";
import type { Port } from "../engine.ts";
import { nativeTensor } from "./ffi.ts";
import { WORKSPACE_BYTES } from "./key.ts";
import type { NativeTensorRt } from "./open.ts";
import { DTYPES, must, mustAway, STATUS, statusError } from "./status.ts";
import type {
	BuildOptions,
	BuildProgress,
	BuiltEngine,
	Ports,
} from "./types.ts";

/** enum wv_option and enum wv_result. */
const OPTION = { fp16: 0, bf16: 1, refit: 2, workspace: 3, level: 4 } as const;
const RESULT = { plan: 0, timingCache: 1 } as const;

/** How often the builder is asked where it is, ms. */
const POLL_MS = 100;

/**
 * Builds an engine in this process. Only a child of the workshop's calls this: it may take gigabytes,
 * minutes, or the process with it.
 * @throws WattvoxError E_MODEL, E_OP_UNSUPPORTED, E_ENGINE_BUILD, E_MEMORY, E_FILE_MISSING
 */
export async function buildHere(
	trt: NativeTensorRt,
	onnx: Uint8Array | string,
	options: BuildOptions & { timingCache?: Uint8Array | undefined },
	onProgress: (progress: BuildProgress) => void,
): Promise<BuiltEngine> {
	const { library } = trt;
	const path = typeof onnx === "string" ? onnx : null;
	const model = typeof onnx === "string" ? await readFile(onnx) : onnx;
	const opened: unknown[] = [null];
	await mustAway(library, "wv_build_open", trt.handle, opened);
	const build = opened[0];
	const call = must.bind(null, library);
	try {
		await mustAway(library, "wv_build_parse", build, model, model.length, path);
		const ports = portsOf(trt, build);
		setOptions(trt, build, options);
		const cache = options.timingCache;
		if (cache?.length) call("wv_build_cache", build, cache, cache.length);
		const begin = performance.now();
		const done = new AbortController();
		const watching = watch(trt, build, onProgress, done.signal);
		try {
			await mustAway(library, "wv_build_run", build);
		} finally {
			done.abort();
			await watching;
		}
		return {
			engine: read(trt, build, RESULT.plan),
			timingCache: read(trt, build, RESULT.timingCache),
			ports,
			facts: trt.facts,
			seconds: (performance.now() - begin) / 1000,
			log: trt.lastLog(),
		};
	} finally {
		library.call("wv_build_close", build);
	}
}

function setOptions(
	trt: NativeTensorRt,
	build: unknown,
	options: BuildOptions,
): void {
	const set = (option: number, value: number) =>
		must(trt.library, "wv_build_set", build, option, value);
	set(OPTION.workspace, options.workspaceBytes ?? WORKSPACE_BYTES);
	if (options.precision === "fp16") set(OPTION.fp16, 1);
	if (options.precision === "bf16") set(OPTION.bf16, 1);
	if (options.refit) set(OPTION.refit, 1);
	if (options.level !== undefined) set(OPTION.level, options.level);
	for (const [index, profile] of (options.profiles ?? []).entries())
		for (const [name, { min, opt, max }] of Object.entries(profile)) {
			if (min.length !== opt.length || min.length !== max.length)
				throw new WattvoxError(
					"E_MODEL",
					`the bounds of input "${name}" have different ranks`,
				);
			const [a, b, c] = [min, opt, max].map((dims) =>
				BigInt64Array.from(dims, BigInt),
			);
			const { length } = min;
			must(trt.library, "wv_build_range", build, index, name, length, a, b, c);
		}
}

/** Reports the builder's steps as they change, until told to stop. */
async function watch(
	trt: NativeTensorRt,
	build: unknown,
	onProgress: (progress: BuildProgress) => void,
	signal: AbortSignal,
): Promise<void> {
	let last = "";
	const look = () => {
		const raw: Record<string, unknown> = {};
		trt.library.call("wv_build_progress", build, raw);
		const progress: BuildProgress = {
			phase: raw.phase as string,
			step: raw.step as number,
			steps: raw.steps as number,
		};
		const now = JSON.stringify(progress);
		if (now !== last) onProgress(progress);
		last = now;
	};
	while (!signal.aborted) {
		look();
		await sleep(POLL_MS, undefined, { signal }).catch(() => undefined);
	}
	look();
}

function portsOf(trt: NativeTensorRt, build: unknown): Ports {
	const inputs: Port[] = [];
	const outputs: Port[] = [];
	for (let index = 0; ; index++) {
		const raw = {};
		if (trt.library.call("wv_build_tensor", build, index, raw) !== STATUS.ok)
			return { inputs, outputs };
		const t = nativeTensor(raw);
		(t.input ? inputs : outputs).push({
			name: t.name,
			dtype: DTYPES[t.dtype] ?? "float32",
			shape: t.dims.map((d, i) => (d < 0 ? (t.dimNames[i] ?? "") : d)),
		});
	}
}

function read(trt: NativeTensorRt, build: unknown, which: number): Uint8Array {
	const size = [0];
	let status = trt.library.call("wv_build_size", build, which, size);
	const into = new Uint8Array(Number(size[0]));
	if (status === STATUS.ok)
		status = trt.library.call("wv_build_read", build, which, into, into.length);
	if (status !== STATUS.ok)
		throw statusError(status, "the builder's result cannot be read");
	return into;
}
