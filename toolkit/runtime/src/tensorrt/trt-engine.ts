import { WattvoxError } from "@wattvox/core";
import {
	checkFeeds,
	type Feeds,
	type Port,
	type Results,
	type RunOptions,
	tensorOf,
} from "../engine.ts";
import { arrayOf, sizeOf, type Tensor, type TensorData } from "../tensor.ts";
import { DIMS, type Library, nativeTensor, WHY } from "./ffi.ts";
import { checkPorts, ownPorts, toEngine, toModel } from "./ports.ts";
import { DTYPES, must, mustAway, STATUS, statusError, text } from "./status.ts";
import { Turns } from "./turns.ts";
import type {
	Ports,
	ShapeRange,
	TrtEngine,
	TrtTensor,
	Weights,
} from "./types.ts";

/** How long a thread of koffi's waits for a run before it looks again, ms. */
const WAIT_MS = 1000;

/**
 * An engine over a handle of the shim's.
 *
 * INVARIANTS, beside those of Engine
 * - The handle has one run at a time, and is closed when no run and no refit is under way.
 * - What the engine's thread reads was copied into the shim before the run started.
 */
export class NativeEngine implements TrtEngine {
	readonly inputs: readonly Port[];
	readonly outputs: readonly Port[];
	readonly tensors: readonly TrtTensor[];
	readonly refittable: readonly string[];
	readonly #library: Library;
	readonly #handle: unknown;
	readonly #turns = new Turns();
	#disposed: Promise<void> | undefined;

	/** Takes the handle over; closes it when the ports do not fit. */
	constructor(library: Library, handle: unknown, ports?: Ports) {
		this.#library = library;
		this.#handle = handle;
		try {
			this.tensors = describeTensors(library, handle);
			this.refittable = describeWeights(library, handle);
			if (ports) checkPorts(this.tensors, ports);
		} catch (thrown) {
			library.call("wv_engine_close", handle);
			throw thrown;
		}
		const { inputs, outputs } = ports ?? ownPorts(this.tensors);
		this.inputs = inputs;
		this.outputs = outputs;
	}

	async run(feeds: Feeds, options: RunOptions = {}): Promise<Results> {
		this.#live();
		checkFeeds(this.inputs, feeds);
		const outputs = options.outputs ?? this.outputs.map((o) => o.name);
		for (const name of outputs)
			if (!this.outputs.some((o) => o.name === name))
				throw new WattvoxError("E_MODEL", `the model has no output "${name}"`);
		const own = new Map<string, Tensor>();
		for (const [name, feed] of Object.entries(feeds)) {
			const t = tensorOf(feed);
			// Taken now and not when its turn comes: the caller may change a lent buffer right after.
			const data = "given" in feed ? moved(t.data) : t.data.slice();
			own.set(name, { ...t, data } as Tensor);
		}
		return this.#turns.take(() => this.#run(own, outputs), options.signal);
	}

	async refit(weights: Weights): Promise<void> {
		this.#live();
		const own = Object.entries(weights).map(
			([name, t]) => [name, t, t.data.slice()] as const,
		);
		await this.#turns.take(async () => {
			for (const [name, t, data] of own)
				must(
					this.#library,
					"wv_engine_weight_set",
					this.#handle,
					name,
					DTYPES.indexOf(t.dtype),
					data,
					sizeOf(t.dims),
				);
			await mustAway(this.#library, "wv_engine_refit", this.#handle);
		});
	}

	async serialize(): Promise<Uint8Array> {
		this.#live();
		return this.#turns.take(async () => {
			const library = this.#library;
			const size = [0];
			await mustAway(library, "wv_engine_serialize", this.#handle, size);
			const into = new Uint8Array(Number(size[0]));
			this.#plain("wv_engine_take", this.#handle, into, into.length);
			return into;
		});
	}

	dispose(): Promise<void> {
		this.#disposed ??= this.#turns.drop("the engine was disposed").then(() => {
			this.#library.call("wv_engine_close", this.#handle);
		});
		return this.#disposed;
	}

	#live(): void {
		if (this.#disposed)
			throw new WattvoxError("E_BUG", "an engine ran after it was disposed");
	}

	async #run(
		feeds: ReadonlyMap<string, Tensor>,
		outputs: readonly string[],
	): Promise<Results> {
		const library = this.#library;
		const opened: unknown[] = [null];
		must(library, "wv_run_open", this.#handle, opened);
		const run = opened[0];
		try {
			for (const [index, t] of this.tensors.entries()) {
				const feed = feeds.get(t.name);
				if (!t.input || !feed) continue;
				const data = toEngine(feed, t);
				const dims = BigInt64Array.from(feed.dims, BigInt);
				const { length } = dims;
				must(
					library,
					"wv_run_feed",
					run,
					index,
					length,
					dims,
					data,
					data.byteLength,
				);
			}
			must(library, "wv_run_start", run);
			await this.#ended(run);
			const results: Results = {};
			for (const name of outputs) results[name] = this.#read(run, name);
			return results;
		} finally {
			library.call("wv_run_close", run);
		}
	}

	async #ended(run: unknown): Promise<void> {
		const why = Buffer.alloc(WHY);
		let status: number = STATUS.pending;
		while (status === STATUS.pending)
			status = await this.#library.away("wv_run_wait", run, WAIT_MS, why);
		if (status !== STATUS.ok) throw statusError(status, text(why));
	}

	#read(run: unknown, name: string): Tensor {
		const index = this.tensors.findIndex((t) => t.name === name && !t.input);
		const t = this.tensors[index] as TrtTensor;
		const rank = [0];
		const bytes = [0];
		const shape = new BigInt64Array(DIMS);
		this.#plain("wv_run_shape", run, index, rank, shape, bytes);
		const Held = arrayOf(t.dtype);
		const data = new Held(Number(bytes[0]) / Held.BYTES_PER_ELEMENT);
		this.#plain("wv_run_read", run, index, data, data.byteLength);
		const { dtype } = this.outputs.find((o) => o.name === name) as Port;
		const dims = [...shape.subarray(0, rank[0])].map(Number);
		return { dtype, dims, data: toModel(data, dtype) } as Tensor;
	}

	/** A call that fails only by a mistake of ours, and has no `why`. */
	#plain(
		name: "wv_run_shape" | "wv_run_read" | "wv_engine_take",
		...args: unknown[]
	): void {
		const status = this.#library.call(name, ...args);
		if (status !== STATUS.ok) throw statusError(status, `${name}: ${status}`);
	}
}

/** A given buffer, taken away from its giver. */
function moved(data: TensorData): TensorData {
	const { buffer } = data;
	const Held = data.constructor as new (from: ArrayBuffer) => TensorData;
	return new Held(
		structuredClone(buffer, {
			transfer: [buffer as ArrayBuffer],
		}) as ArrayBuffer,
	);
}

function describeTensors(library: Library, handle: unknown): TrtTensor[] {
	const tensors: TrtTensor[] = [];
	for (let index = 0; ; index++) {
		const raw = {};
		if (library.call("wv_engine_tensor", handle, index, raw) !== STATUS.ok)
			return tensors;
		const { name, input, dtype, dims } = nativeTensor(raw);
		tensors.push({
			name,
			input,
			dtype: DTYPES[dtype] ?? "float32",
			shape: dims,
			profiles: input ? rangesOf(library, handle, index, dims.length) : [],
		});
	}
}

function rangesOf(
	library: Library,
	handle: unknown,
	index: number,
	rank: number,
): ShapeRange[] {
	const ranges: ShapeRange[] = [];
	for (;;) {
		const bounds = [0, 1, 2].map(() => new BigInt64Array(DIMS));
		const status = library.call(
			"wv_engine_range",
			handle,
			index,
			ranges.length,
			...bounds,
		);
		if (status !== STATUS.ok) return ranges;
		const [min = [], opt = [], max = []] = bounds.map((b) =>
			[...b.subarray(0, rank)].map(Number),
		);
		ranges.push({ min, opt, max });
	}
}

function describeWeights(library: Library, handle: unknown): string[] {
	const names: string[] = [];
	const name = Buffer.alloc(WHY);
	while (
		library.call("wv_engine_weight", handle, names.length, name) === STATUS.ok
	)
		names.push(text(name));
	return names;
}
