import { join } from "node:path";
import type { Graph, Tensor } from "@wattvox/onnx";
import {
	type FitOptions,
	type FitResult,
	fit,
	parametersOf,
	type StepReport,
} from "../train/fit.ts";

/** The weight of KL(posterior || prior) when training begins and when it has settled. */
export interface KlWeights {
	first: number;
	last: number;
}
export const KL_WEIGHTS: KlWeights = { first: 0.1, last: 1 };

/** What every stage of base training shares. */
export interface StageOptions {
	/** Working folder for checkpoints and logs. */
	work: string;
	threads: number;
	seed: number;
	/** Steps of this stage. */
	steps: number;
	/** Of the teacher and the student; {@link KL_WEIGHTS} when absent. */
	kl?: KlWeights;
	onStep?: (stage: string, report: StepReport) => void;
	signal?: AbortSignal;
}

/** Trains all of a graph as one stage: checkpoint `NAME.ckpt`, log `NAME.log.jsonl`. */
export function runStage(
	name: string,
	o: StageOptions,
	graph: Graph,
	rest: Pick<FitOptions, "schedule" | "batch"> & Partial<FitOptions>,
): Promise<FitResult> {
	return fit({
		graph,
		loss: "loss",
		trainable: parametersOf(graph),
		steps: o.steps,
		threads: o.threads,
		checkpoint: join(o.work, `${name}.ckpt`),
		checkpointEvery: 400,
		log: join(o.work, `${name}.log.jsonl`),
		onStep: (r) => o.onStep?.(name, r),
		...(o.signal ? { signal: o.signal } : {}),
		...rest,
	});
}

/** A graph with trained parameters in place. */
export function withParameters(
	graph: Graph,
	parameters: ReadonlyMap<string, Tensor>,
): Graph {
	const initializers = new Map(graph.initializers);
	for (const [name, t] of parameters)
		if (initializers.has(name)) initializers.set(name, t);
	return { ...graph, initializers };
}
