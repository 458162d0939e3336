import { WattvoxError } from "@wattvox/core";
import {
	type Graph,
	GraphBuilder,
	inferTypes,
	type Tensor,
	type Value,
} from "@wattvox/onnx";
import { differentiate, liftParameters } from "../autodiff/index.ts";
import type { LossTerm } from "../losses/build.ts";
import { type PlanOptions, planRecompute, type RecomputePlan } from "./plan.ts";
import { recompute } from "./recompute.ts";

/** Name of the input that multiplies the loss before it is differentiated. */
export const LOSS_SCALE = "train.loss_scale";
/** Name of the input with a part's share of a term. */
export const shareInput = (term: string): string => `train.share.${term}`;

/** What goes into a backward half besides the loss. */
export interface BackwardOptions {
	/** Multiply the loss by an input, {@link LOSS_SCALE}: gradients come out larger by it. */
	scaled?: boolean;
	/** Differentiate the sum of these terms, each times its share input, in place of the loss. */
	terms?: readonly LossTerm[];
	/** Compute activations again in place of keeping them. */
	recompute?: Omit<PlanOptions, "parameters">;
}

/** A graph with its backward half. */
export interface Backward {
	b: GraphBuilder;
	/** Gradients of the parameters that the loss depends on. */
	gradients: [string, Value][];
	/** Trained initialisers by name, now inputs. */
	values: Map<string, Tensor>;
	/** The cuts that were made; absent without recomputation. */
	plan?: RecomputePlan;
}

/**
 * Forward and backward half over trained initialisers, which become inputs. Those that the loss does not
 * reach stay initialisers.
 * @throws WattvoxError E_MODEL for names that are none; E_OP_UNSUPPORTED as differentiate does
 */
export function backwardGraph(
	graph: Graph,
	loss: string,
	trainable: readonly string[],
	o: BackwardOptions = {},
): Backward {
	for (const name of trainable) {
		const dtype = graph.initializers.get(name)?.dtype;
		if (dtype !== "float32")
			throw new WattvoxError(
				"E_MODEL",
				dtype
					? `${name} is ${dtype}: parameters are trained in float32`
					: `the graph has no initialiser ${name} to train`,
			);
	}
	const { graph: lifted, values } = liftParameters(graph, trainable);
	const of = objective(lifted, loss, o);
	const d = differentiate(of.graph, of.loss, [...values.keys()]);
	const { builder: b, gradients } = d;
	const parameters = new Set(values.keys());
	let plan: RecomputePlan | undefined;
	if (o.recompute) {
		const chosen = planRecompute(d, { ...o.recompute, parameters });
		recompute(d, chosen.map, chosen.plan.cuts);
		plan = chosen.plan;
	}
	const reached: [string, Value][] = [];
	for (const [name, g] of gradients)
		if (g) reached.push([name, g]);
		// Parameters that the loss does not reach stay as they were.
		else b.graph.initializers.set(name, values.get(name) as Tensor);
	b.graph.inputs = b.graph.inputs.filter(
		(v) => !b.graph.initializers.has(v.name),
	);
	return { b, gradients: reached, values, ...(plan && { plan }) };
}

/** The scalar that is differentiated: the loss itself, or one made of it. */
function objective(
	graph: Graph,
	loss: string,
	{ scaled, terms }: BackwardOptions,
): { graph: Graph; loss: string } {
	if (!scaled && !terms) return { graph, loss };
	const copy: Graph = {
		...graph,
		opsets: { ...graph.opsets },
		inputs: [...graph.inputs],
		nodes: [...graph.nodes],
		initializers: new Map(graph.initializers),
	};
	const b = new GraphBuilder(copy, inferTypes(graph));
	let sum: Value | undefined;
	for (const { value, weight } of terms ?? []) {
		const share = b.input(shareInput(value), "float32", []);
		const part = b.mul(b.value(value), share);
		const weighted =
			typeof weight === "number"
				? b.affine(part, weight)
				: b.mul(part, b.value(weight));
		sum = sum ? b.add(sum, weighted) : weighted;
	}
	sum ??= b.value(loss);
	if (scaled) sum = b.mul(sum, b.input(LOSS_SCALE, "float32", []));
	return { graph: copy, loss: sum.name };
}
