import { appendFile, mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import { encodeModel, type Graph, type Tensor } from "@wattvox/onnx";
import { liftParameters } from "../autodiff/index.ts";
import { type LossSpec, type WithLosses, withLosses } from "../losses/index.ts";
import { ADAMW, type AdamWOptions, type ParameterSettings } from "./adamw.ts";
import { averageIn, WeightAverage } from "./average.ts";
import { judge, type Patience } from "./best.ts";
import {
	type Best,
	type Checkpoint,
	loadCheckpoint,
	saveCheckpoint,
} from "./checkpoint.ts";
import { DriftMonitor, type DriftOptions } from "./drift.ts";
import { liftFrozen } from "./frozen.ts";
import { type ParameterGroup, settingsOf } from "./groups.ts";
import type { Feeds } from "./parts.ts";
import type { RecomputePlan } from "./plan.ts";
import { type FrozenSplit, PrefixCache, splitFrozen } from "./prefix.ts";
import { type StepLevers, TrainingStep } from "./programs.ts";
import type { ProgramSpec } from "./protocol.ts";
import { type Schedule, type ScheduleSpec, scheduleOf } from "./schedule.ts";
import { Stepper } from "./stepper.ts";

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
	if (o.log) await mkdir(dirname(o.log), { recursive: true });
	const resumed = o.checkpoint ? await loadCheckpoint(o.checkpoint) : undefined;
	const finished = resumed && alreadyDone(o, resumed);
	if (finished) return finished;
	const run = await Run.prepare(o, resumed?.scale);
	for (const [name, tensor] of [
		...(o.initial ?? []),
		...(resumed?.state ?? []),
	])
		if (run.training.state.has(name)) run.training.state.set(name, tensor);
	const { stepper, training } = run;
	const schedule =
		typeof o.schedule === "function"
			? o.schedule
			: scheduleOf(o.schedule, o.steps);
	const began = performance.now();
	const seconds = () =>
		(resumed?.seconds ?? 0) + (performance.now() - began) / 1000;
	let step = resumed?.step ?? 0;
	let dropped = 0;
	let drifted = false;
	let last: number | undefined;
	let best = resumed?.best;
	const average =
		o.average === undefined
			? undefined
			: new WeightAverage(o.average, resumed?.state);
	const save = async () => {
		if (o.checkpoint)
			await saveCheckpoint(o.checkpoint, {
				step,
				state: new Map([
					...(await stepper.state()),
					...(average?.saved() ?? []),
				]),
				seconds: seconds(),
				joules: null,
				...(training.scale && { scale: training.scale.scale }),
				...(best && { best }),
			});
	};
	const validate = async () => {
		const { values, judged, loss } = await run.validate(step);
		const better = !best || judged < best.loss;
		best = judge(best, judged, step, o.patience);
		if (better && o.keepBest)
			best.parameters = await stepper.state(training.parameters);
		o.onValidation?.(loss, step, values);
		drifted = await run.drifted(step);
	};
	await stepper.start();
	try {
		o.onStart?.(stepper);
		// The next batch is made while this one computes in the worker. If it fails, that is seen when
		// its turn comes, or never when the run ends before.
		const ahead = (at: number) => {
			const made = (async () => run.feedsOf(await o.batch(at), at))();
			made.catch(() => undefined);
			return made;
		};
		let next = step < o.steps && !best?.stopped ? ahead(step) : undefined;
		while (step < o.steps && !best?.stopped && !o.signal?.aborted && !drifted) {
			const lr = schedule(step);
			const feeds = (await next) as Feeds;
			const running = training.run(stepper, feeds, lr, step + 1);
			// A batch that itself runs a program queues behind the step, which is as it should be.
			if (step + 1 < o.steps) next = ahead(step + 1);
			const { outputs, applied, milliseconds } = await running;
			if (!applied) dropped++;
			const values = scalarsOf(outputs);
			last = values[run.loss];
			step++;
			o.onStep?.({ step, steps: o.steps, lr, values, milliseconds, applied });
			if (step % 20 === 0 || step === 1)
				await run.note({ step, lr, ms: Math.round(milliseconds), ...values });
			average?.add(await stepper.state(training.parameters), step);
			if (run.validates && step % (o.validateEvery ?? 200) === 0)
				await (average ? average.during(stepper, validate) : validate());
			if (step % (o.checkpointEvery ?? 500) === 0) await save();
		}
		if (o.signal?.aborted || drifted) await next?.catch(() => undefined);
		await save();
		return {
			parameters:
				(o.keepBest && best?.parameters) ||
				average?.copy() ||
				(await stepper.state(training.parameters)),
			...bestOf(o, best),
			steps: step,
			seconds: seconds(),
			interrupted: o.signal?.aborted ?? false,
			dropped,
			...(last !== undefined && { loss: last }),
			...(training.plan && { plan: training.plan }),
			...(run.cache && {
				cache: { hits: run.cache.hits, misses: run.cache.misses },
			}),
			...(o.drift && { drifted }),
		};
	} finally {
		await stepper.stop();
	}
}

/** What was best, in the judge's own terms. */
const bestOf = (
	o: FitOptions,
	best: Best | undefined,
): Pick<FitResult, "best"> => {
	const sign = o.metric?.best === "highest" ? -1 : 1;
	return best ? { best: { step: best.step, loss: sign * best.loss } } : {};
};

/** The end of a training whose checkpoint has it all: nothing is compiled to take no step. */
function alreadyDone(o: FitOptions, c: Checkpoint): FitResult | undefined {
	if (c.step < o.steps && !c.best?.stopped) return undefined;
	const kept =
		(o.keepBest && c.best?.parameters) || averageIn(c.state) || c.state;
	const parameters = new Map<string, Tensor>();
	for (const name of o.trainable) {
		const t = kept.get(name);
		if (!t) return undefined;
		parameters.set(name, t);
	}
	return {
		parameters,
		...bestOf(o, c.best),
		steps: c.step,
		seconds: c.seconds,
		interrupted: o.signal?.aborted ?? false,
		dropped: 0,
	};
}

/** Leaves the model's own outputs out: a step would copy them for nobody. */
const onlyLosses = (w: WithLosses): WithLosses => ({
	...w,
	graph: {
		...w.graph,
		outputs: w.graph.outputs.filter(
			({ name }) => name === w.loss || w.terms.some((t) => t.value === name),
		),
	},
});

/** A run's programs, and what is done between its steps. */
class Run {
	readonly training: TrainingStep;
	readonly stepper: Stepper;
	readonly cache: PrefixCache | undefined;
	readonly #o: FitOptions;
	/** Name of the scalar that is lowered. */
	readonly loss: string;
	readonly #split: FrozenSplit | undefined;
	readonly #drift: DriftMonitor | undefined;

	private constructor(
		o: FitOptions,
		graph: Graph,
		loss: string,
		levers: StepLevers,
		sample: Feeds | undefined,
		scale: number | undefined,
	) {
		this.#o = o;
		this.loss = loss;
		this.#split = o.batchKey ? splitFrozen(graph, o.trainable) : undefined;
		const trained = this.#split?.rest ?? graph;
		const settings = (name: string): ParameterSettings => {
			const group = settingsOf(o.groups ?? [], name);
			return { ...group, rate: group.rate * (o.rates?.(name) ?? 1) };
		};
		this.training = new TrainingStep(
			{
				graph: trained,
				loss,
				trainable: o.trainable,
				adamw: o.adamw ?? ADAMW,
				settings,
				...(sample && { sample }),
			},
			levers,
			scale,
		);
		const programs: Record<string, ProgramSpec> = { ...this.training.programs };
		const add = (name: string, model: Uint8Array) => {
			programs[name] = { model, updates: [] };
		};
		const lifted = (g: Graph) => liftParameters(g, o.trainable).graph;
		if (this.validates) add("validate", this.#shared(lifted(trained)));
		if (this.#split) {
			add("prefix", encodeModel(this.#split.prefix));
			this.cache = new PrefixCache(o.cacheBytes ?? 512 * 2 ** 20);
		}
		for (const [name, model] of Object.entries(o.programs ?? {}))
			add(name, model);
		if (o.drift) {
			this.#drift = new DriftMonitor(o.drift);
			const base = {
				...graph,
				initializers: new Map([...graph.initializers, ...(o.initial ?? [])]),
			};
			for (const [name, model] of Object.entries(
				this.#drift.programs(base, lifted(graph)),
			))
				add(name, model);
		}
		this.stepper = new Stepper({
			...this.training.init,
			programs,
			threads: o.threads ?? 1,
		});
	}

	/** A model that is fed the frozen weights which the stepper holds anyway. */
	#shared(graph: Graph): Uint8Array {
		const split = liftFrozen(graph);
		const { frozen } = this.training;
		const initializers = new Map(split.graph.initializers);
		for (const [name, t] of split.frozen)
			if (frozen.get(name) !== t) initializers.set(name, t);
		const inputs = split.graph.inputs.filter((v) => !initializers.has(v.name));
		return encodeModel({ ...split.graph, inputs, initializers });
	}

	static async prepare(o: FitOptions, scale?: number): Promise<Run> {
		const { graph, loss, terms } = o.losses
			? onlyLosses(withLosses(o.graph, o.losses))
			: { graph: o.graph, loss: o.loss ?? "loss", terms: o.terms };
		const cut = o.memory !== undefined || o.segments !== undefined;
		const sample = cut ? (o.sample ?? (await o.batch(0))) : undefined;
		const levers = { ...o, ...(terms && { terms }) };
		const run = new Run(o, graph, loss, levers, sample, scale);
		if (run.training.plan) o.onPlan?.(run.training.plan);
		return run;
	}

	get validates(): boolean {
		return (this.#o.validation?.length ?? 0) > 0 || !!this.#o.metric;
	}

	/** A batch with its frozen part in place of what that is made of. */
	feedsOf(feeds: Feeds, step: number): Promise<Feeds> | Feeds {
		return this.#split
			? this.#withPrefix(feeds, this.#o.batchKey?.(step))
			: feeds;
	}

	async #withPrefix(feeds: Feeds, key: string | undefined): Promise<Feeds> {
		const split = this.#split;
		if (!split || !this.cache) return feeds;
		const named = (names: readonly string[]) =>
			Object.fromEntries(
				Object.entries(feeds).filter(([name]) => names.includes(name)),
			);
		const inputs = (g: Graph) => g.inputs.map((v) => v.name);
		const made = await this.cache.get(
			key,
			async () =>
				(await this.stepper.run("prefix", named(inputs(split.prefix)))).outputs,
		);
		return { ...named(inputs(split.rest)), ...made };
	}

	async note(line: Record<string, unknown>): Promise<void> {
		if (this.#o.log) await appendFile(this.#o.log, `${JSON.stringify(line)}\n`);
	}

	/** The mean of the scalars over the validation feeds, and what judges them. */
	async validate(step: number): Promise<{
		values: Record<string, number>;
		loss: number;
		judged: number;
	}> {
		const values: Record<string, number> = {};
		const all = this.#o.validation ?? [];
		for (const [i, feeds] of all.entries()) {
			const fed = await this.#withPrefix(feeds, `validation ${i}`);
			const { outputs } = await this.stepper.run("validate", fed);
			for (const [k, v] of Object.entries(scalarsOf(outputs)))
				values[k] = (values[k] ?? 0) + v / all.length;
		}
		const loss = values[this.loss] ?? Number.NaN;
		let judged = loss;
		const { metric } = this.#o;
		if (metric) {
			const parameters = await this.stepper.state(this.training.parameters);
			const value = await metric.measure(parameters, step);
			values[metric.name] = value;
			judged = metric.best === "highest" ? -value : value;
		}
		await this.note({ step, validation: values });
		return { values, loss, judged };
	}

	/** Whether the model has turned away from its base so far that training ends. */
	async drifted(step: number): Promise<boolean> {
		const report = await this.#drift?.check(this.stepper, step);
		if (!report) return false;
		await this.note({ step, drift: report });
		return report.verdict === "stop";
	}
}
