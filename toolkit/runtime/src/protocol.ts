// Messages between an EngineHost and its worker. Both ends are ours: nothing is parsed.
import type { ErrorCode } from "@wattvox/core";
import type { Port } from "./engine.ts";
import type { Tensor } from "./tensor.ts";

/** How a session is made. See {@link EngineOptions} for what the fields mean. */
export interface SessionSettings {
	threads: number;
	memPattern: boolean;
	arena: boolean;
	spinning: boolean;
	optimise: "all" | "extended" | "basic" | "disabled";
}

export type Request =
	| {
			kind: "load";
			id: number;
			model: Uint8Array | string;
			settings: SessionSettings;
	  }
	| {
			kind: "run";
			id: number;
			engine: number;
			feeds: Record<string, Tensor>;
			outputs: readonly string[];
	  }
	| { kind: "free"; id: number; engine: number };

export type Answer =
	| { id: number; ok: true; value: Loaded | Record<string, Tensor> | null }
	| { id: number; ok: false; code: ErrorCode; message: string };

export interface Loaded {
	inputs: Port[];
	outputs: Port[];
}

/** What the thread is started with. */
export interface WorkerData {
	skips: SharedArrayBuffer;
}

/**
 * Requests that need not be run any more, in memory that both threads see: a message would arrive only
 * after the run that it is to prevent. Each request marks the slot of its number; two that share a slot
 * may hide one another's mark, and then one is run for nobody.
 */
export class Skips {
	readonly shared: SharedArrayBuffer;
	readonly #slots: Int32Array;

	constructor(shared = new SharedArrayBuffer(4 * 64)) {
		this.shared = shared;
		this.#slots = new Int32Array(shared);
	}

	skip(id: number): void {
		Atomics.store(this.#slots, id % this.#slots.length, id | 0);
	}

	has(id: number): boolean {
		return Atomics.load(this.#slots, id % this.#slots.length) === (id | 0);
	}
}
