import type { Tensor } from "@wattvox/onnx";
import type { Example } from "../data/features.ts";
import type { LoraOptions } from "../lora/inject.ts";
import type { FitResult, StepReport } from "../train/fit.ts";
import type { VoiceLevers } from "./levers.ts";

/** Which weights a voice adapts: every product of the text side and of the decoder. */
export const VOICE_TARGETS = /^(text|decoder)\..*\.w$/;

/** Settings of one adaptation. */
export interface AdaptOptions extends VoiceLevers {
	/** Folder for checkpoint and log. */
	work: string;
	steps: number;
	rank: number;
	alpha: number;
	learningRate: number;
	/** Weight of the spread of mel-cepstra beside their mean error. */
	variance: number;
	/** Match the spread of mel-cepstra to the clip's in the last layer when training is over. */
	calibrate: boolean;
	/** Sentences per step. */
	batch: number;
	/** Frames per segment. */
	frames: number;
	/** Validate every so many steps; training stops once `patience` validations in a row were no better. */
	validateEvery: number;
	patience: number;
	threads: number;
	seed: number;
	/** Told when graphs, weights and sessions are there, before the first batch. */
	onReady?: () => void;
	onStep?: (report: StepReport) => void;
	onValidation?: (
		loss: number,
		step: number,
		values: Record<string, number>,
	) => void;
	signal?: AbortSignal;
}

export const ADAPT: Omit<AdaptOptions, "work" | "threads"> = {
	steps: 160,
	rank: 16,
	alpha: 32,
	learningRate: 2e-3,
	variance: 0.1,
	calibrate: true,
	batch: 8,
	frames: 200,
	validateEvery: 20,
	patience: 3,
	seed: 1,
};

/** An adaptation's end. */
export interface Adapted {
	/** PEFT tensors. */
	adapter: Map<string, Tensor>;
	/** Names of the adapted weights. */
	adapted: string[];
	lora: LoraOptions;
	/** Trained numbers. */
	parameters: number;
	fit: FitResult;
}

/** What training one voice needs of its clip. */
export interface VoiceData {
	examples: readonly Example[];
	/** The speaker's embedding, [192]. */
	speaker: Float32Array;
}
