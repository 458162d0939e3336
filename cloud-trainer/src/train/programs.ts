import {
	encodeModel,
	type Graph,
	scalar,
	type Tensor,
	zeros,
} from "@wattvox/onnx";
import type { LossTerm } from "../losses/build.ts";
import {
	type AdamWOptions,
	GRADIENT_NORM,
	type ParameterSettings,
} from "./adamw.ts";
import type { StepScalars } from "./adamw-pass.ts";
import { LOSS_SCALE, shareInput } from "./backward.ts";
import { Dropout, type DropoutOptions } from "./dropout.ts";
import { liftFrozen } from "./frozen.ts";
import { LossScale, mixedPrecision } from "./half.ts";
import { batchRows, type Feeds, splitBatch } from "./parts.ts";
import type { RecomputePlan } from "./plan.ts";
import type {
	OptimiserSpec,
	ProgramSpec,
	RunResult,
	StepperInit,
} from "./protocol.ts";
import type { Stepper } from "./stepper.ts";
import { gradientGraph } from "./training-graph.ts";

/** How a step is computed; the defaults keep everything in memory, in single precision, at once. */
export interface StepLevers {
	/** Parts that a batch is computed in; their gradients are summed to the whole batch's. */
	accumulate?: number;
	/** Terms of the loss, when parts of a batch weigh differently in each; see `withLosses`. */
	terms?: readonly LossTerm[];
	/** Bytes that training may take: activations are computed again as far as needed. */
	memory?: number;
	/** So many segments of recomputation, in place of a memory target. */
	segments?: number;
	/** "mixed": products in float16 with a dynamic loss scale. */
	precision?: "single" | "mixed";
	/** Blank some inputs of the adapters at each step. */
	dropout?: DropoutOptions;
}

/** What a step is made of. */
export interface StepModel {
	graph: Graph;
	loss: string;
	trainable: readonly string[];
	adamw: AdamWOptions;
	settings: (name: string) => ParameterSettings;
	/** A batch whose sizes stand for all; needed for recomputation. */
	sample?: Feeds;
}

/** One optimiser step as programs of a stepper, and how to run them. */
export class TrainingStep {
	readonly programs: Record<string, ProgramSpec> = {};
	readonly state: Map<string, Tensor>;
	/** Names of the parameters that a step moves. */
	readonly parameters: string[];
	readonly plan: RecomputePlan | undefined;
	/** The loss scale; undefined in single precision. */
	readonly scale: LossScale | undefined;
	/** Nodes in half precision. */
	readonly halved: number;
	/** Weights that no step moves, as inputs of the program: ONNX Runtime holds no copy of them. */
	readonly frozen: Map<string, Tensor>;
	readonly optimiser: OptimiserSpec;
	readonly #m: StepModel;
	readonly #parts: number;
	readonly #terms: readonly LossTerm[];
	readonly #dropout: Dropout | undefined;

	constructor(m: StepModel, levers: StepLevers = {}, scale?: number) {
		this.#m = m;
		this.#parts = levers.accumulate ?? 1;
		this.#terms = levers.terms ?? [{ value: m.loss, weight: 1 }];
		const mixed = levers.precision === "mixed";
		if (mixed) this.scale = new LossScale(scale);
		const { memory, segments } = levers;
		const cut =
			m.sample && (memory !== undefined || segments !== undefined)
				? {
						recompute: {
							feeds: m.sample,
							...(memory !== undefined && { memory }),
							...(segments !== undefined && { segments }),
						},
					}
				: {};
		if (levers.dropout?.share) this.#dropout = new Dropout(levers.dropout);
		const graph = this.#dropout?.applied(m.graph, m.trainable) ?? m.graph;
		const made = gradientGraph(graph, m.loss, m.trainable, {
			scaled: mixed,
			...(this.#parts > 1 && { terms: this.#terms }),
			...cut,
		});
		const final = mixed ? mixedPrecision(made.graph) : { ...made, halved: 0 };
		this.halved = final.halved;
		const lifted = liftFrozen(final.graph);
		this.frozen = lifted.frozen;
		this.programs.train = {
			model: encodeModel(lifted.graph),
			updates: [],
			gradients: made.gradients,
		};
		this.plan = made.plan;
		this.parameters = [...made.values.keys()];
		this.state = new Map();
		const parameters: OptimiserSpec["parameters"] = {};
		for (const [name, tensor] of made.values) {
			this.state.set(name, tensor);
			this.state.set(`m.${name}`, zeros(tensor.dims));
			this.state.set(`v.${name}`, zeros(tensor.dims));
			const { rate, weightDecay } = m.settings(name);
			const own = tensor.dims.length > 1 ? m.adamw.weightDecay : 0;
			parameters[name] = { rate, decay: weightDecay ?? own };
		}
		this.optimiser = { options: m.adamw, parameters };
	}

	/** What a stepper needs of this step; `programs` may be added to. */
	get init(): Omit<StepperInit, "threads"> {
		const { programs, state, frozen, optimiser } = this;
		return { programs, state, frozen, optimiser };
	}

	/** Takes step `t` (from 1) at a learning rate. */
	async run(
		stepper: Stepper,
		feeds: Feeds,
		lr: number,
		t: number,
	): Promise<RunResult> {
		const scale = this.scale?.scale;
		const scaled: Feeds = {
			...(scale !== undefined && { [LOSS_SCALE]: scalar(scale) }),
			...this.#dropout?.feeds(t),
		};
		const apply: StepScalars = {
			learningRate: lr,
			t,
			...(scale !== undefined && { unscale: 1 / scale }),
		};
		const done =
			this.#parts > 1
				? await this.#inParts(stepper, feeds, scaled, apply)
				: await stepper.run("train", { ...feeds, ...scaled }, undefined, {
						add: false,
						apply,
					});
		this.scale?.update(done.applied);
		return done;
	}

	async #inParts(
		stepper: Stepper,
		feeds: Feeds,
		scaled: Feeds,
		apply: StepScalars,
	): Promise<RunResult> {
		const { graph } = this.#m;
		const parts = splitBatch(graph, feeds, this.#parts);
		const counted = this.#terms.map(({ value, count }) => {
			const sizes = parts.map((p) => (count ? count(p) : batchRows(graph, p)));
			const all = sizes.reduce((a, b) => a + b, 0);
			return { value, shares: sizes.map((n) => (all ? n / all : 0)) };
		});
		const outputs: Feeds = {};
		let milliseconds = 0;
		let applied = true;
		for (const [i, part] of parts.entries()) {
			const shares = Object.fromEntries(
				counted.map(({ value, shares }) => [
					shareInput(value),
					scalar(shares[i] ?? 0),
				]),
			);
			const run = await stepper.run(
				"train",
				{ ...part, ...scaled, ...shares },
				undefined,
				{ add: i > 0, ...(i === parts.length - 1 && { apply }) },
			);
			applied = run.applied;
			milliseconds += run.milliseconds;
			for (const [name, t] of Object.entries(run.outputs)) {
				if (t.data.length !== 1) continue;
				if (name === GRADIENT_NORM) {
					outputs[name] = t;
					continue;
				}
				const share =
					counted.find((c) => c.value === name)?.shares[i] ??
					batchRows(graph, part) / batchRows(graph, feeds);
				const before = Number(outputs[name]?.data[0] ?? 0);
				outputs[name] = scalar(before + share * Number(t.data[0]));
			}
		}
		this.#totalLoss(outputs, feeds);
		return { outputs, applied, milliseconds };
	}

	/** The loss of the whole batch: its terms weigh the parts each in its own way. */
	#totalLoss(outputs: Feeds, feeds: Feeds): void {
		let total = 0;
		for (const { value, weight } of this.#terms)
			total +=
				Number(outputs[value]?.data[0] ?? Number.NaN) *
				(typeof weight === "number" ? weight : Number(feeds[weight]?.data[0]));
		outputs[this.#m.loss] = scalar(total);
	}
}
