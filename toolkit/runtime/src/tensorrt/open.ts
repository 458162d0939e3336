import { WattvoxError } from "@wattvox/core";
import { board } from "./board.ts";
import type { Library } from "./ffi.ts";
import { must, mustAway, readLog } from "./status.ts";
import type {
	DeserializeOptions,
	LogLine,
	TensorRt,
	TensorRtFacts,
	TrtEngine,
} from "./types.ts";

/**
 * Opens TensorRT in this process: loads the shim, makes a runtime, and asks where it runs.
 * @param path of the compiled shim, see `compileShim`
 * @throws WattvoxError E_TENSORRT: no such library, another ABI, no device, or TensorRT does not start
 */
export async function openTensorRt(path: string): Promise<TensorRt> {
	return NativeTensorRt.open(path);
}

/** {@link TensorRt} over the shim. */
export class NativeTensorRt implements TensorRt {
	readonly facts: TensorRtFacts;
	readonly library: Library;
	/** The runtime's handle. */
	readonly handle: unknown;
	#closed = false;

	private constructor(library: Library, handle: unknown, facts: TensorRtFacts) {
		this.library = library;
		this.handle = handle;
		this.facts = facts;
	}

	static async open(path: string): Promise<NativeTensorRt> {
		// koffi is megabytes that a process without TensorRT need not spend.
		const { loadLibrary } = await import("./ffi.ts");
		const library = loadLibrary(path);
		const opened: unknown[] = [null];
		await mustAway(library, "wv_runtime_open", opened);
		try {
			const raw: Record<string, unknown> = {};
			must(library, "wv_runtime_facts", opened[0], raw);
			const facts = { ...factsOf(raw), ...(await board()) };
			return new NativeTensorRt(library, opened[0], facts);
		} catch (thrown) {
			library.call("wv_runtime_close", opened[0]);
			throw thrown;
		}
	}

	async deserialize(
		engine: Uint8Array,
		options: DeserializeOptions = {},
	): Promise<TrtEngine> {
		if (this.#closed)
			throw new WattvoxError("E_BUG", "TensorRT was used after it was closed");
		const { signal, ports } = options;
		if (signal?.aborted) throw abandoned();
		const { NativeEngine } = await import("./trt-engine.ts");
		const { library } = this;
		const opened: unknown[] = [null];
		// Copied: what the shim's thread reads must not change, and the caller may go on.
		const plan = engine.slice();
		await mustAway(
			library,
			"wv_engine_open",
			this.handle,
			plan,
			plan.length,
			opened,
		);
		if (signal?.aborted) {
			library.call("wv_engine_close", opened[0]);
			throw abandoned();
		}
		return new NativeEngine(library, opened[0], ports);
	}

	lastLog(): LogLine[] {
		return readLog(this.library);
	}

	async close(): Promise<void> {
		if (this.#closed) return;
		this.#closed = true;
		this.library.call("wv_runtime_close", this.handle);
	}
}

type RawFacts = Omit<TensorRtFacts, "l4t" | "module">;

function factsOf(raw: Record<string, unknown>): RawFacts {
	const numbers = (name: string) =>
		Array.from(raw[name] as ArrayLike<number>).filter((n) => n >= 0);
	// 1000 * major + 10 * minor
	const cuda = (n: number) =>
		`${Math.floor(n / 1000)}.${Math.floor((n % 1000) / 10)}`;
	return {
		tensorrt: numbers("library").join("."),
		headers: numbers("headers").join("."),
		cuda: cuda(raw.cuda as number),
		cudaDriver: cuda(raw.driver as number),
		computeCapability: numbers("capability").join("."),
		device: raw.device as string,
		multiprocessors: raw.multiprocessors as number,
		memoryBytes: Number(raw.memory),
	};
}

function abandoned(): WattvoxError {
	return new WattvoxError("E_INTERRUPTED", "loading was abandoned");
}
