import type { Tensor } from "@wattvox/onnx";
import type { AdamWOptions } from "./adamw.ts";
import type { StepScalars } from "./adamw-pass.ts";

/** A program that a stepper runs: a model, and which of its outputs replace which state. */
export interface ProgramSpec {
	/** ONNX bytes. Inputs named like state tensors are fed from the state. */
	model: Uint8Array;
	/** [state input, output that replaces it] pairs; empty for evaluation. */
	updates: [string, string][];
	/** [parameter, output that is its gradient] pairs, for the optimiser; none for evaluation. */
	gradients?: [string, string][];
}

/** AdamW as the worker applies it to the state's parameters; moments are `m.NAME` and `v.NAME`. */
export interface OptimiserSpec {
	options: AdamWOptions;
	/** Factor of the learning rate and weight decay by parameter. */
	parameters: Record<string, { rate: number; decay: number }>;
}

/** What a stepper's worker is started with. */
export interface StepperInit {
	programs: Record<string, ProgramSpec>;
	state: Map<string, Tensor>;
	/** Weights that no step moves, fed to every program that has an input of their name. */
	frozen?: ReadonlyMap<string, Tensor>;
	optimiser?: OptimiserSpec;
	threads: number;
}

/** What happens to the gradients that a program makes. */
export interface GradientUse {
	/** True adds them to those of the run before; false begins anew. */
	add: boolean;
	/** Clips and applies them; without it they wait for the next part of the batch. */
	apply?: StepScalars;
}

/** Tensors as they are sent: those that are all zero as their sizes alone. */
export type SentState = Map<string, Tensor | number[]>;

/** Messages to the worker; each gets one {@link Reply} with the same id. */
export type Request = { id: number } & (
	| {
			kind: "init";
			init: Omit<StepperInit, "state" | "frozen">;
			state: SentState;
			frozen: SentState;
	  }
	| {
			kind: "run";
			program: string;
			feeds: Record<string, Tensor>;
			guard?: string;
			gradients?: GradientUse;
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
	/** Time inside ONNX Runtime and the optimiser, in milliseconds. */
	milliseconds: number;
}
