import type { Graph, Tensor } from "@wattvox/onnx";
import type { LossSpec } from "../losses/index.ts";
import type { AdamWOptions } from "./adamw.ts";
import type { Patience } from "./best.ts";
import type { DriftOptions } from "./drift.ts";
import type { ParameterGroup } from "./groups.ts";
import type { Feeds } from "./parts.ts";
import type { RecomputePlan } from "./plan.ts";
import type { StepLevers } from "./programs.ts";
import type { Schedule, ScheduleSpec } from "./schedule.ts";
import type { Stepper } from "./stepper.ts";

/** One finished step. */
export interface StepReport {
	step: number;
	steps: number;
	lr: number;
	/** The graph's scalar outputs by name; `adamw.norm` is the gradient's norm before clipping. */
	values: Record<string, number>;
	milliseconds: number;
	/** False when the step was dropped because its gradient was not finite. */
	applied: boolean;
}

/** A caller's own judgement of the parameters, such as an audio metric. */
export interface FitMetric {
	name: string;
	/** Which values are better. */
	best: "lowest" | "highest";
	/** Measures the parameters as they are after `step`. */
	measure: (
		parameters: ReadonlyMap<string, Tensor>,
		step: number,
	) => number | Promise<number>;
}

/** What a training run needs. */
export interface FitOptions extends StepLevers {
	/** Forward graph; with a scalar output `loss`, or with `losses`. */
	graph: Graph;
	/** Name of the scalar output to lower; "loss" when absent. */
	loss?: string;
	/** Losses to add to the graph, as data. Their terms weigh the parts of a batch. */
	losses?: readonly LossSpec[];
	/** Names of the initialisers to train. */
	trainable: readonly string[];
	steps: number;
	schedule: Schedule | ScheduleSpec;
	batch: (step: number) => Feeds | Promise<Feeds>;
	threads?: number;
	adamw?: AdamWOptions;
	/** Learning-rate factor by parameter name, on top of what `groups` say. */
	rates?: (name: string) => number;
	/** Learning rates and weight decay by pattern. */
	groups?: readonly ParameterGroup[];
	/** Feeds for validation, run every `validateEvery` steps on the current weights. */
	validation?: readonly Feeds[];
	validateEvery?: number;
	/** Judges validations in place of the loss: what is best, and when patience ends. */
	metric?: FitMetric;
	/** Give back the parameters of the best validation rather than the last. */
	keepBest?: boolean;
	patience?: Patience;
	/**
	 * Decay of a moving average of the parameters, such as 0.95: it is judged in their place, and what
	 * training ends with. Absent: the parameters themselves.
	 */
	average?: number;
	/** Called after validation with the mean loss; `values` holds the metric under its name. */
	onValidation?: (
		loss: number,
		step: number,
		values: Record<string, number>,
	) => void;
	onStep?: (report: StepReport) => void;
	/** Compared with the base at each validation. */
	drift?: DriftOptions;
	/**
	 * Names batches that come again (an epoch's): what lies before the first trained weight is then
	 * computed once for each and kept.
	 */
	batchKey?: (step: number) => string | undefined;
	/** Bytes that are kept so at most; 512 MiB. */
	cacheBytes?: number;
	/** Checkpoint file; resumed from when it exists, patience and best validation included. */
	checkpoint?: string;
	checkpointEvery?: number;
	/** JSON lines of the losses. */
	log?: string;
	/** Initial parameters in place of the graph's own. */
	initial?: ReadonlyMap<string, Tensor>;
	/** Models without trained parameters (a teacher) that `batch` may run through `stepper`. */
	programs?: Record<string, Uint8Array>;
	/** Called with the stepper before the first batch. */
	onStart?: (stepper: Stepper) => void;
	/** A batch whose sizes stand for all, for `memory` and `segments`; the first one when absent. */
	sample?: Feeds;
	/** Told where activations are computed again, before the first step. */
	onPlan?: (plan: RecomputePlan) => void;
	signal?: AbortSignal;
}

/** What a training run ends with. */
export interface FitResult {
	/** Trained parameters by name. */
	parameters: Map<string, Tensor>;
	/** Steps done, over all attempts. */
	steps: number;
	seconds: number;
	/** True when it was interrupted; the checkpoint then holds the state. */
	interrupted: boolean;
	/** Steps dropped for a gradient that was not finite. */
	dropped: number;
	/** The last step's loss; undefined when no step was taken. */
	loss?: number;
	/** The step of the best validation and its loss, or the metric's value; undefined without validation. */
	best?: { step: number; loss: number };
	/** Where activations were computed again. */
	plan?: RecomputePlan;
	/** Batches whose frozen part was found, and was not. */
	cache?: { hits: number; misses: number };
	/** True when the model turned too far away from its base. */
	drifted?: boolean;
}
