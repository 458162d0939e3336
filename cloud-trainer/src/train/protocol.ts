import type { Tensor } from "@wattvox/onnx";

/** A program that a stepper runs: a model, and which of its outputs replace which state. */
export interface ProgramSpec {
	/** ONNX bytes. Inputs named like state tensors are fed from the state. */
	model: Uint8Array;
	/** [state input, output that replaces it] pairs; empty for evaluation. */
	updates: [string, string][];
}

/** What a stepper's worker is started with. */
export interface StepperInit {
	programs: Record<string, ProgramSpec>;
	state: Map<string, Tensor>;
	threads: number;
}

/** Messages to the worker; each gets one {@link Reply} with the same id. */
export type Request = { id: number } & (
	| { kind: "init"; init: StepperInit }
	| {
			kind: "run";
			program: string;
			feeds: Record<string, Tensor>;
			guard?: string;
	  }
	| { kind: "state"; names?: string[] }
	| { kind: "load"; state: Map<string, Tensor> }
	| { kind: "close" }
);

export type Reply = { id: number } & (
	| { ok: true; value: unknown }
	| { ok: false; message: string }
);

/** What one run gives back. */
export interface RunResult {
	/** Outputs that are not state, by name. */
	outputs: Record<string, Tensor>;
	/** False when the guarded output was not finite, and the state was therefore left as it was. */
	applied: boolean;
	/** Time inside ONNX Runtime, in milliseconds. */
	milliseconds: number;
}
