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
