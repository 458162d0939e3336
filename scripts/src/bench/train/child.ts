import { monitorEventLoopDelay } from "node:perf_hooks";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";
import {
	type AdamWOptions,
	GRADIENT_NORM,
	type StepLevers,
	Stepper,
	sessionOptions,
	TrainingStep,
} from "@wattvox/cloud-trainer";
import type { Tensor } from "@wattvox/onnx";
import * as ort from "onnxruntime-node";
import { type Mode, type ModelName, type Sizes, trainTask } from "./models.ts";
import { matmulPeak } from "./peak.ts";
import { type OpTime, opTimes, profiled } from "./profile.ts";

/** What both sides train, as task.json holds it. */
export interface TaskFile {
	model: ModelName;
	mode: Mode;
	sizes: Sizes;
	threads: number;
	rate: number;
	adamw: AdamWOptions;
	/** Names of what a step moves. */
	trainable: string[];
	/** Parts that our side computes a batch in. */
	accumulate: number;
	/** So many segments of recomputation, or bytes to fit, for our side. */
	segments?: number;
	memory?: number;
}

/** Second argument of our side: keep all activations, whatever the task says. */
export const PLAIN = "plain";

/** One optimiser step. */
export interface StepFacts {
	loss: number;
	/** Of the gradient, before clipping. */
	norm: number;
	/** Time of the step inside the process, batch to weights. */
	ms: number;
}

/** What a side answers to `step N`. */
export interface StepAnswer {
	steps: StepFacts[];
	/** Longest that the main thread's event loop was kept from its next turn, ms; ours only. */
	loopDelay?: number;
	/** Segments of recomputation; ours only. */
	segments?: number;
}

/** Our trainer for a task. */
function trainingStep(task: TaskFile, levers: StepLevers): TrainingStep {
	const { graph, batch, trainable, terms } = trainTask(
		task.model,
		task.mode,
		task.sizes,
	);
	return new TrainingStep(
		{
			graph,
			loss: "loss",
			trainable,
			adamw: task.adamw,
			settings: () => ({ rate: 1 }),
			sample: batch,
		},
		{ ...levers, ...(terms && { terms }) },
	);
}

/**
 * Our side: commands on standard input, one line of JSON for each; see scripts/torch/train.py. It says
 * that it is there when it could take its first step: the graphs are built, the worker holds session
 * and weights.
 */
async function main(task: TaskFile): Promise<void> {
	const { batch } = trainTask(task.model, task.mode, task.sizes);
	const say = (value: unknown) =>
		process.stdout.write(`${JSON.stringify(value)}\n`);
	let t = 0;
	const { accumulate, segments, memory } = task;
	const step = trainingStep(task, {
		accumulate,
		...(segments !== undefined && { segments }),
		...(memory !== undefined && { memory }),
	});
	const stepper = new Stepper({ ...step.init, threads: task.threads });
	await stepper.start();
	const steps = async (count: number): Promise<StepAnswer> => {
		const delay = monitorEventLoopDelay({ resolution: 1 });
		delay.enable();
		const facts: StepFacts[] = [];
		for (let i = 0; i < count; i++) {
			const began = performance.now();
			const { outputs } = await step.run(stepper, batch, task.rate, ++t);
			facts.push({
				loss: Number(outputs.loss?.data[0]),
				norm: Number(outputs[GRADIENT_NORM]?.data[0]),
				ms: performance.now() - began,
			});
		}
		delay.disable();
		return {
			steps: facts,
			loopDelay: delay.max / 1e6,
			segments: (step.plan?.cuts.length ?? 0) + 1,
		};
	};
	const parameters = task.trainable.reduce(
		(sum, name) => sum + (step.state.get(name)?.data.length ?? 0),
		0,
	);
	// What building left behind is none of the model's: it would hide as much of the steps' memory.
	global.gc?.();
	say({ version: "wattvox", parameters });
	for await (const line of createInterface(process.stdin)) {
		const [command, count] = line.split(" ");
		if (command === "step") say(await steps(Number(count)));
		else if (command === "profile") say(await profile(batch, task));
		else say({ gflops: await matmulPeak(task.threads) });
	}
	await stepper.stop();
}

/** The step of a whole batch, in this thread and with ONNX Runtime's profiler on. */
async function profile(
	batch: Record<string, Tensor>,
	task: TaskFile,
	steps = 3,
): Promise<OpTime[]> {
	const step = trainingStep(task, {});
	const model = step.programs.train?.model;
	if (!model) return [];
	const toOrt = (t: Tensor) =>
		new ort.Tensor(t.dtype as "float32", t.data as Float32Array, t.dims);
	const feeds: Record<string, ort.Tensor> = {};
	const events = await profiled(async (prefix) => {
		const session = await ort.InferenceSession.create(model, {
			...sessionOptions(task.threads),
			enableProfiling: true,
			profileFilePrefix: prefix,
		});
		const all = {
			...Object.fromEntries([...step.state, ...step.frozen]),
			...batch,
		};
		for (const name of session.inputNames)
			feeds[name] = toOrt(all[name] as Tensor);
		for (let i = 0; i < steps; i++) await session.run(feeds);
		session.endProfiling();
		await session.release();
	});
	return opTimes(events, steps);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
	const { readFile } = await import("node:fs/promises");
	const { join } = await import("node:path");
	const file = join(process.argv[2] ?? ".", "task.json");
	const task = JSON.parse(await readFile(file, "utf8")) as TaskFile;
	if (process.argv[3] === PLAIN) {
		delete task.segments;
		delete task.memory;
	}
	await main(task);
}
