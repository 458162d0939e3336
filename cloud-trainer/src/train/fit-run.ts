import { appendFile } from "node:fs/promises";
import { encodeModel, type Graph, type Tensor } from "@wattvox/onnx";
import { liftParameters } from "../autodiff/index.ts";
import { type WithLosses, withLosses } from "../losses/index.ts";
import { ADAMW, type ParameterSettings } from "./adamw.ts";
import { DriftMonitor } from "./drift.ts";
import type { FitOptions } from "./fit-options.ts";
import { liftFrozen } from "./frozen.ts";
import { settingsOf } from "./groups.ts";
import type { Feeds } from "./parts.ts";
import { type FrozenSplit, PrefixCache, splitFrozen } from "./prefix.ts";
import { type StepLevers, TrainingStep } from "./programs.ts";
import type { ProgramSpec } from "./protocol.ts";
import { Stepper } from "./stepper.ts";

/** Steps between two validations, where nobody says. */
export const VALIDATE_EVERY = 200;

/** The outputs that are one number. */
export const scalarsOf = (
	outputs: Record<string, Tensor>,
): Record<string, number> =>
	Object.fromEntries(
		Object.entries(outputs)
			.filter(([, t]) => t.data.length === 1)
			.map(([k, t]) => [k, Number(t.data[0])]),
	);

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

/** A training run's programs, and what is done between its steps. */
export class FitRun {
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

	static async prepare(o: FitOptions, scale?: number): Promise<FitRun> {
		const { graph, loss, terms } = o.losses
			? onlyLosses(withLosses(o.graph, o.losses))
			: { graph: o.graph, loss: o.loss ?? "loss", terms: o.terms };
		const cut = o.memory !== undefined || o.segments !== undefined;
		const sample = cut ? (o.sample ?? (await o.batch(0))) : undefined;
		const levers = { ...o, ...(terms && { terms }) };
		const run = new FitRun(o, graph, loss, levers, sample, scale);
		if (run.training.plan) o.onPlan?.(run.training.plan);
		return run;
	}

	/** Whether a validation comes up before training ends: its program is built only then. */
	get validates(): boolean {
		const o = this.#o;
		return (
			((o.validation?.length ?? 0) > 0 || !!o.metric) &&
			(o.validateEvery ?? VALIDATE_EVERY) <= o.steps
		);
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
