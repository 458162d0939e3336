import { WattvoxError } from "@wattvox/core";
import {
	checkFeeds,
	type Engine,
	type Feeds,
	type Port,
	type Results,
	type RunOptions,
	tensorOf,
} from "./engine.ts";
import { EngineHost } from "./host.ts";
import type { Loaded, SessionSettings } from "./protocol.ts";
import type { Tensor } from "./tensor.ts";

export interface EngineOptions {
	/** Threads inside one operator; 1 by default, which is also the most frugal per joule. */
	threads?: number;
	/**
	 * Plan memory ahead for a shape seen before. Off by default: it keeps a plan for every length
	 * of text, and without it peak memory is about half. Worth it where shapes never change.
	 */
	memPattern?: boolean;
	/** ORT's arena allocator: faster, keeps its peak. On by default. */
	arena?: boolean;
	/** Idle threads spin instead of sleeping. Off by default: spinning burns a core for nothing. */
	spinning?: boolean;
	/** Graph optimisation; "all" by default. */
	optimise?: SessionSettings["optimise"];
	/** The thread to live in; by default one thread shared by all engines of the process. */
	host?: EngineHost;
	/** Abandons loading. */
	signal?: AbortSignal | undefined;
}

/** A model's bytes that change hands: afterwards the giver's array is detached (length 0). */
export interface GivenModel {
	/** Must cover its whole buffer. */
	readonly given: Uint8Array;
}

const shared = new EngineHost();

/**
 * Loads an ONNX model into ONNX Runtime (CPU provider) in a worker thread.
 * @param model the model's bytes, lent (copied) or given (moved), or the path of its file
 * @throws WattvoxError E_MODEL (not a model, or an operator is missing), E_FILE_MISSING,
 *   E_MEMORY, E_INTERRUPTED
 */
export async function createEngine(
	model: Uint8Array | GivenModel | string,
	options: EngineOptions = {},
): Promise<Engine> {
	const [source, transfer] = modelSource(model);
	const host = options.host ?? shared;
	const settings: SessionSettings = {
		threads: options.threads ?? 1,
		memPattern: options.memPattern ?? false,
		arena: options.arena ?? true,
		spinning: options.spinning ?? false,
		optimise: options.optimise ?? "all",
	};
	host.retain();
	try {
		const { id, value } = await host.ask<Loaded>(
			{ kind: "load", model: source, settings },
			{
				transfer,
				signal: options.signal,
				// Loaded after all, for nobody: let it go.
				orphan: (engine) =>
					void host.ask({ kind: "free", engine }).catch(() => undefined),
			},
		);
		return new OnnxEngine(host, id, value);
	} catch (thrown) {
		await host.release();
		throw thrown;
	}
}

/**
 * Starts the engines' thread and loads ONNX Runtime into it, while its user still prepares the model.
 * @returns lets the thread go, unless an engine keeps it; call it once
 */
export function awaken(host: EngineHost = shared): () => Promise<void> {
	host.retain();
	host.wake();
	return () => host.release();
}

function modelSource(
	model: Uint8Array | GivenModel | string,
): [Uint8Array | string, ArrayBuffer[]] {
	if (typeof model === "string") return [model, []];
	const own = "given" in model ? model.given : model.slice();
	if (own.byteLength !== own.buffer.byteLength)
		throw new WattvoxError(
			"E_BUG",
			"a given model must cover the whole of its buffer",
		);
	return [own, [own.buffer as ArrayBuffer]];
}

class OnnxEngine implements Engine {
	readonly inputs: readonly Port[];
	readonly outputs: readonly Port[];
	readonly #host: EngineHost;
	readonly #id: number;
	readonly #generation: number;
	#disposed: Promise<void> | undefined;

	constructor(host: EngineHost, id: number, loaded: Loaded) {
		this.#host = host;
		this.#id = id;
		this.#generation = host.generation;
		this.inputs = loaded.inputs;
		this.outputs = loaded.outputs;
	}

	async run(feeds: Feeds, options: RunOptions = {}): Promise<Results> {
		if (this.#disposed)
			throw new WattvoxError("E_BUG", "an engine ran after it was disposed");
		if (this.#generation !== this.#host.generation)
			throw new WattvoxError(
				"E_MODEL",
				"the engine's thread ended; load it again",
			);
		checkFeeds(this.inputs, feeds);
		const outputs = options.outputs ?? this.outputs.map((o) => o.name);
		for (const name of outputs)
			if (!this.outputs.some((o) => o.name === name))
				throw new WattvoxError("E_MODEL", `the model has no output "${name}"`);
		const sent: Record<string, Tensor> = {};
		const moved = new Set<ArrayBuffer>();
		for (const [name, feed] of Object.entries(feeds)) {
			const t = tensorOf(feed);
			// Copied now and not when its turn comes: the caller may change a lent buffer right after.
			const own =
				"given" in feed ? t : ({ ...t, data: t.data.slice() } as Tensor);
			moved.add(own.data.buffer as ArrayBuffer);
			sent[name] = own;
		}
		const { value } = await this.#host.ask<Results>(
			{ kind: "run", engine: this.#id, feeds: sent, outputs },
			{ transfer: [...moved], signal: options.signal },
		);
		return value;
	}

	dispose(): Promise<void> {
		this.#disposed ??= this.#free();
		return this.#disposed;
	}

	async #free(): Promise<void> {
		this.#host.drop(this.#id);
		try {
			if (this.#generation === this.#host.generation)
				await this.#host.ask({ kind: "free", engine: this.#id });
		} finally {
			await this.#host.release();
		}
	}
}
