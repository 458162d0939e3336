import {
	emptyGraph,
	type Graph,
	GraphBuilder,
	inferTypes,
	type Tensor,
	zeros,
} from "@wattvox/onnx";
import {
	ADAMW,
	type AdamWOptions,
	adamWUpdates,
	type ParameterSettings,
	type StateSlot,
} from "./adamw.ts";
import { type BackwardOptions, backwardGraph } from "./backward.ts";
import type { RecomputePlan } from "./plan.ts";

/** A graph that takes one optimiser step. */
export interface TrainingGraph {
	graph: Graph;
	/** Parameters and moments, in and out. */
	slots: StateSlot[];
	/** Initial state by input name: the parameters as they were, the moments zero. */
	state: Map<string, Tensor>;
	/** Names of the parameters that a step moves. */
	parameters: string[];
	plan?: RecomputePlan;
}

/**
 * Forward, backward, clipping and AdamW in one graph. Its outputs are the given graph's own, the
 * gradient norm, and the next state.
 * @param loss name of the scalar output to lower
 * @param trainable names of float32 initialisers
 * @param settings learning-rate factor by parameter name, or all that groups say of it
 * @throws WattvoxError E_MODEL for names that are none; E_OP_UNSUPPORTED as differentiate does
 */
export function trainingGraph(
	graph: Graph,
	loss: string,
	trainable: readonly string[],
	options: AdamWOptions = ADAMW,
	settings: (name: string) => number | ParameterSettings = () => 1,
	o: BackwardOptions = {},
): TrainingGraph {
	const { b, gradients, values, plan } = backwardGraph(
		graph,
		loss,
		trainable,
		o,
	);
	const updates = adamWUpdates(
		b,
		gradients,
		values,
		options,
		whole(settings),
		o.scaled,
	);
	inferTypes(b.graph);
	return {
		graph: b.graph,
		...updates,
		parameters: gradients.map(([name]) => name),
		...(plan && { plan }),
	};
}

const whole =
	(settings: (name: string) => number | ParameterSettings) =>
	(name: string): ParameterSettings => {
		const found = settings(name);
		return typeof found === "number" ? { rate: found } : found;
	};

/** Name of the input that is true when a sum of gradients goes on, false when it begins. */
export const KEEP = "train.keep";
const sumName = (name: string): string => `sum.${name}`;

/** A step in parts: gradients are summed by one graph, applied by another. */
export interface AccumulatingGraphs {
	add: { graph: Graph; slots: StateSlot[] };
	apply: { graph: Graph; slots: StateSlot[] };
	state: Map<string, Tensor>;
	parameters: string[];
	plan?: RecomputePlan;
}

/**
 * {@link trainingGraph} for a batch that comes in parts. `o.terms` weigh the parts: a step over all
 * parts is the step over the whole batch.
 */
export function accumulatingGraphs(
	graph: Graph,
	loss: string,
	trainable: readonly string[],
	options: AdamWOptions = ADAMW,
	settings: (name: string) => number | ParameterSettings = () => 1,
	o: BackwardOptions = {},
): AccumulatingGraphs {
	const { b, gradients, values, plan } = backwardGraph(
		graph,
		loss,
		trainable,
		o,
	);
	const keep = b.input(KEEP, "bool", []);
	const slots: StateSlot[] = [];
	const state = new Map<string, Tensor>();
	for (const [name, g] of gradients) {
		const { dims } = values.get(name) as Tensor;
		const before = b.input(sumName(name), "float32", dims);
		// Where, not a product: what an abandoned step left may not be finite.
		const kept = b.op("Where", [keep, before, b.scalar(0)]);
		const next = b.output(b.add(kept, g), `next.${sumName(name)}`);
		slots.push({ input: sumName(name), output: next.name });
		state.set(sumName(name), zeros(dims));
	}
	inferTypes(b.graph);
	const a = new GraphBuilder(emptyGraph("apply"));
	const sums = gradients.map(([name]) => {
		const { dims } = values.get(name) as Tensor;
		a.input(name, "float32", dims);
		return [name, a.input(sumName(name), "float32", dims)] as const;
	});
	const updates = adamWUpdates(
		a,
		sums.map(([n, g]) => [n, g]),
		values,
		options,
		whole(settings),
		o.scaled,
	);
	for (const [name, tensor] of updates.state) state.set(name, tensor);
	return {
		add: { graph: b.graph, slots },
		apply: { graph: a.graph, slots: updates.slots },
		state,
		parameters: gradients.map(([name]) => name),
		...(plan && { plan }),
	};
}
