import { appendFile, mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import { encodeModel, type Graph, type Tensor } from "@wattvox/onnx";
import {
	ADAMW,
	type AdamWOptions,
	adamWScalars,
	GRADIENT_NORM,
	trainingGraph,
} from "./adamw.ts";
import {
	type Best,
	type Checkpoint,
	loadCheckpoint,
	saveCheckpoint,
} from "./checkpoint.ts";
import type { ProgramSpec } from "./protocol.ts";
import { Stepper } from "./stepper.ts";

/** The learning rate as a function of the step. */
export type Schedule = (step: number) => number;

/** Linear warm-up, then a half cosine down to `floor` of the peak. */
export const warmCosine =
	(peak: number, warmup: number, total: number, floor = 0.02): Schedule =>
	(step) => {
		if (step < warmup) return (peak * (step + 1)) / warmup;
		const t = Math.min(1, (step - warmup) / Math.max(1, total - warmup));
		return peak * (floor + (1 - floor) * 0.5 * (1 + Math.cos(Math.PI * t)));
	};

/** Linear warm-up, then a straight line down to zero. */
export const warmLinear =
	(peak: number, warmup: number, total: number): Schedule =>
	(step) =>
		step < warmup
			? (peak * (step + 1)) / warmup
			: peak * Math.max(0, 1 - (step - warmup) / Math.max(1, total - warmup));

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

/** What a training run needs. */
export interface FitOptions {
	/** Forward graph with a scalar output `loss`. */
	graph: Graph;
	loss: string;
	/** Names of the initialisers to train. */
	trainable: readonly string[];
	steps: number;
	schedule: Schedule;
	batch: (
		step: number,
	) => Record<string, Tensor> | Promise<Record<string, Tensor>>;
	threads?: number;
	adamw?: AdamWOptions;
	rates?: (name: string) => number;
	/** Feeds for validation, run every `validateEvery` steps on the current weights. */
	validation?: readonly Record<string, Tensor>[];
	validateEvery?: number;
	/** Give back the parameters of the best validation rather than the last. */
	keepBest?: boolean;
	/** End training after so many validations in a row that were not better by the share `gain`. */
	patience?: { validations: number; gain: number };
	/** Called after validation with the mean loss. */
	onValidation?: (
		loss: number,
		step: number,
		values: Record<string, number>,
	) => void;
	onStep?: (report: StepReport) => void;
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
	/** The step of the best validation and its loss; undefined without validation. */
	best?: { step: number; loss: number };
}

/** Parameters of a graph: its float initialisers with a name of their own (constants have a serial number). */
export function parametersOf(graph: Graph): string[] {
	return [...graph.initializers]
		.filter(
			([name, t]) => t.dtype === "float32" && !/(^|\.)const_\d+$/.test(name),
		)
		.map(([name]) => name);
}

const scalarsOf = (outputs: Record<string, Tensor>): Record<string, number> =>
	Object.fromEntries(
		Object.entries(outputs)
			.filter(([, t]) => t.data.length === 1)
			.map(([k, t]) => [k, Number(t.data[0])]),
	);

/**
 * Trains a graph: steps, validation, checkpoints, log. An abort ends it after the running step with a
 * checkpoint written; the same call resumes.
 */
export async function fit(o: FitOptions): Promise<FitResult> {
	const adamw = o.adamw ?? ADAMW;
	if (o.log) await mkdir(dirname(o.log), { recursive: true });
	const resumed = o.checkpoint ? await loadCheckpoint(o.checkpoint) : undefined;
	const finished = resumed && alreadyDone(o, resumed);
	if (finished) return finished;
	const training = trainingGraph(o.graph, o.loss, o.trainable, adamw, o.rates);
	const programs: Record<string, ProgramSpec> = {
		train: {
			model: encodeModel(training.graph),
			updates: training.slots.map((s) => [s.input, s.output]),
		},
	};
	if (o.validation?.length)
		programs.validate = validationProgram(o.graph, o.trainable);
	for (const [name, model] of Object.entries(o.programs ?? {}))
		programs[name] = { model, updates: [] };
	for (const [name, tensor] of o.initial ?? [])
		if (training.state.has(name)) training.state.set(name, tensor);
	for (const [name, tensor] of resumed?.state ?? [])
		if (training.state.has(name)) training.state.set(name, tensor);

	const stepper = new Stepper({
		programs,
		state: training.state,
		threads: o.threads ?? 1,
	});
	const began = performance.now();
	const seconds = () =>
		(resumed?.seconds ?? 0) + (performance.now() - began) / 1000;
	let step = resumed?.step ?? 0;
	let dropped = 0;
	const names = [...training.state.keys()].filter((n) => !/^[mv]\./.test(n));
	let best = resumed?.best;
	const save = async () => {
		if (o.checkpoint)
			await saveCheckpoint(o.checkpoint, {
				step,
				state: await stepper.state(),
				seconds: seconds(),
				joules: null,
				...(best && { best }),
			});
	};
	await stepper.start();
	try {
		o.onStart?.(stepper);
		// The next batch is made while this one computes in the worker. If it fails, that is seen when
		// its turn comes, or never when the run ends before.
		const ahead = (at: number) => {
			const made = (async () => o.batch(at))();
			made.catch(() => undefined);
			return made;
		};
		let next = step < o.steps && !best?.stopped ? ahead(step) : undefined;
		while (step < o.steps && !best?.stopped && !o.signal?.aborted) {
			const lr = o.schedule(step);
			const feeds = { ...(await next), ...adamWScalars(lr, step + 1, adamw) };
			const running = stepper.run("train", feeds, GRADIENT_NORM);
			// A batch that itself runs a program queues behind the step, which is as it should be.
			if (step + 1 < o.steps) next = ahead(step + 1);
			const { outputs, applied, milliseconds } = await running;
			if (!applied) dropped++;
			const values = scalarsOf(outputs);
			step++;
			o.onStep?.({ step, steps: o.steps, lr, values, milliseconds, applied });
			if (o.log && (step % 20 === 0 || step === 1))
				await appendFile(
					o.log,
					`${JSON.stringify({ step, lr, ms: Math.round(milliseconds), ...values })}\n`,
				);
			if (o.validation?.length && step % (o.validateEvery ?? 200) === 0) {
				const sums = await validate(o, stepper, step);
				const loss = sums[o.loss] ?? Number.NaN;
				const better = !best || loss < best.loss;
				best = judge(best, loss, step, o.patience);
				if (better && o.keepBest) best.parameters = await stepper.state(names);
				o.onValidation?.(loss, step, sums);
			}
			if (step % (o.checkpointEvery ?? 500) === 0) await save();
		}
		if (o.signal?.aborted) await next?.catch(() => undefined);
		await save();
		return {
			parameters:
				(o.keepBest && best?.parameters) || (await stepper.state(names)),
			...(best ? { best: { step: best.step, loss: best.loss } } : {}),
			steps: step,
			seconds: seconds(),
			interrupted: o.signal?.aborted ?? false,
			dropped,
		};
	} finally {
		await stepper.stop();
	}
}

/** The end of a training whose checkpoint has it all: nothing is compiled to take no step. */
function alreadyDone(o: FitOptions, c: Checkpoint): FitResult | undefined {
	if (c.step < o.steps && !c.best?.stopped) return undefined;
	const kept = (o.keepBest && c.best?.parameters) || c.state;
	const parameters = new Map<string, Tensor>();
	for (const name of o.trainable) {
		const t = kept.get(name);
		if (!t) return undefined;
		parameters.set(name, t);
	}
	return {
		parameters,
		...(c.best ? { best: { step: c.best.step, loss: c.best.loss } } : {}),
		steps: c.step,
		seconds: c.seconds,
		interrupted: o.signal?.aborted ?? false,
		dropped: 0,
	};
}

/** What is best after one more validation. */
function judge(
	before: Best | undefined,
	loss: number,
	step: number,
	patience: FitOptions["patience"],
): Best {
	if (!before) return { step, loss, mark: loss, waited: 0, stopped: false };
	const gained = loss < before.mark * (1 - (patience?.gain ?? 0));
	const waited = gained ? 0 : before.waited + 1;
	return {
		...before,
		...(loss < before.loss && { step, loss }),
		mark: gained ? loss : before.mark,
		waited,
		stopped: patience !== undefined && waited >= patience.validations,
	};
}

async function validate(
	o: FitOptions,
	stepper: Stepper,
	step: number,
): Promise<Record<string, number>> {
	const sums: Record<string, number> = {};
	for (const feeds of o.validation ?? []) {
		const { outputs } = await stepper.run("validate", feeds);
		for (const [k, v] of Object.entries(scalarsOf(outputs)))
			sums[k] = (sums[k] ?? 0) + v / (o.validation?.length ?? 1);
	}
	if (o.log)
		await appendFile(o.log, `${JSON.stringify({ step, validation: sums })}\n`);
	return sums;
}

/** The forward graph with its trained initialisers fed from the state. */
function validationProgram(
	graph: Graph,
	trainable: readonly string[],
): ProgramSpec {
	const lifted = new Set(trainable);
	const initializers = new Map(
		[...graph.initializers].filter(([n]) => !lifted.has(n)),
	);
	const inputs = [
		...graph.inputs,
		...[...graph.initializers]
			.filter(([n]) => lifted.has(n))
			.map(([name, t]) => ({ name, dtype: t.dtype, shape: t.dims })),
	];
	return {
		model: encodeModel({ ...graph, initializers, inputs }),
		updates: [],
	};
}
