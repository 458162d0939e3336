import { type Graph, inferTypes, type Tensor } from "@wattvox/onnx";
import {
	ADAMW,
	type AdamWOptions,
	adamWUpdates,
	type ParameterSettings,
	type StateSlot,
} from "./adamw.ts";
import { type BackwardOptions, backwardGraph } from "./backward.ts";
import { gradientsEarly } from "./order.ts";
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

/** A graph that gives gradients; the optimiser is elsewhere. */
export interface GradientGraph {
	graph: Graph;
	/** [parameter, output that is its gradient] pairs. */
	gradients: [string, string][];
	/** The parameters as they were. */
	values: Map<string, Tensor>;
	plan?: RecomputePlan;
}

/**
 * Forward and backward half. Its outputs are the given graph's own and the gradients, under whatever
 * names these have: naming them would copy them.
 * @throws WattvoxError as {@link trainingGraph}
 */
export function gradientGraph(
	graph: Graph,
	loss: string,
	trainable: readonly string[],
	o: BackwardOptions = {},
): GradientGraph {
	const { b, gradients, values, plan } = backwardGraph(
		graph,
		loss,
		trainable,
		o,
	);
	const taken = new Set(
		[...b.graph.inputs, ...b.graph.outputs].map((v) => v.name),
	);
	const pairs = gradients.map(([name, g]): [string, string] => {
		const own =
			!taken.has(g.name) && !b.graph.initializers.has(g.name) && g.name;
		taken.add(g.name);
		return [name, b.output(g, own || `gradient.${name}`).name];
	});
	inferTypes(b.graph);
	return {
		graph: gradientsEarly(b.graph),
		gradients: pairs,
		values: new Map(pairs.map(([name]) => [name, values.get(name) as Tensor])),
		...(plan && { plan }),
	};
}
