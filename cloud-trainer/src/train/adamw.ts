import { WattvoxError } from "@wattvox/core";
import type { Value } from "@wattvox/onnx";
import {
	type Graph,
	type GraphBuilder,
	inferTypes,
	scalar,
	type Tensor,
	zeros,
} from "@wattvox/onnx";
import { differentiate, liftParameters } from "../autodiff/index.ts";

/** Settings of AdamW (Loshchilov & Hutter, arXiv 1711.05101) with clipping by the global norm. */
export interface AdamWOptions {
	beta1: number;
	beta2: number;
	epsilon: number;
	/** Decoupled weight decay; applies to matrices only, not to biases and gains. */
	weightDecay: number;
	/** Largest global gradient norm. */
	clip: number;
}

export const ADAMW: AdamWOptions = {
	beta1: 0.9,
	beta2: 0.98,
	epsilon: 1e-8,
	weightDecay: 0.01,
	clip: 1,
};

/** Names of the inputs that carry the step's scalars. */
export const LEARNING_RATE = "adamw.lr";
export const CORRECTION1 = "adamw.c1";
export const CORRECTION2 = "adamw.c2";
/** Name of the output with the gradient's norm before clipping. */
export const GRADIENT_NORM = "adamw.norm";

/** The feeds of step `t` (from 1): the learning rate and the bias corrections 1/(1 - beta^t). */
export function adamWScalars(
	lr: number,
	t: number,
	o: AdamWOptions = ADAMW,
): Record<string, Tensor> {
	return {
		[LEARNING_RATE]: scalar(lr),
		[CORRECTION1]: scalar(1 / (1 - o.beta1 ** t)),
		[CORRECTION2]: scalar(1 / (1 - o.beta2 ** t)),
	};
}

/** One state tensor of a training graph: read under `input`, written under `output`. */
export interface StateSlot {
	/** The parameter's name; its moments are `m.NAME` and `v.NAME`. */
	input: string;
	output: string;
}

/** A graph that takes one optimiser step. */
export interface TrainingGraph {
	graph: Graph;
	/** Parameters and moments, in and out. */
	slots: StateSlot[];
	/** Initial state by input name: the parameters as they were, the moments zero. */
	state: Map<string, Tensor>;
}

/**
 * Forward, backward, clipping and AdamW in one graph. Its outputs are the given graph's own, the
 * gradient norm, and the next state.
 * @param loss name of the scalar output to lower
 * @param trainable names of float32 initialisers
 * @throws WattvoxError E_MODEL for names that are none; E_OP_UNSUPPORTED as differentiate does
 */
export function trainingGraph(
	graph: Graph,
	loss: string,
	trainable: readonly string[],
	options: AdamWOptions = ADAMW,
	/** Learning-rate factor by parameter name (1 where absent). */
	rates: (name: string) => number = () => 1,
): TrainingGraph {
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
	const lifted = liftParameters(graph, trainable);
	const { builder: b, gradients } = differentiate(lifted.graph, loss, [
		...lifted.values.keys(),
	]);
	const used = [...gradients].filter((e): e is [string, Value] => !!e[1]);
	const scale = clipScale(
		b,
		used.map(([, g]) => g),
		options.clip,
	);
	const lr = b.input(LEARNING_RATE, "float32", []);
	const c1 = b.input(CORRECTION1, "float32", []);
	const c2 = b.input(CORRECTION2, "float32", []);
	const rootC2 = b.op("Sqrt", [c2]);
	const baseRate = b.mul(lr, c1);

	const slots: StateSlot[] = [];
	const state = new Map<string, Tensor>();
	for (const [name, gradient] of used) {
		const tensor = lifted.values.get(name) as Tensor;
		const [m, v] = [`m.${name}`, `v.${name}`];
		const w = b.value(name);
		const m0 = b.input(m, "float32", tensor.dims);
		const v0 = b.input(v, "float32", tensor.dims);
		const g = b.mul(gradient, scale);
		// m' = b1 m + (1-b1) g, v' = b2 v + (1-b2) g^2
		const m1 = b.add(
			b.affine(m0, options.beta1),
			b.affine(g, 1 - options.beta1),
		);
		const v1 = b.add(
			b.affine(v0, options.beta2),
			b.affine(b.mul(g, g), 1 - options.beta2),
		);
		// w' = w - lr (m' c1 / (sqrt(v' c2) + eps) + decay w)
		const root = b.affine(
			b.mul(b.op("Sqrt", [v1]), rootC2),
			1,
			options.epsilon,
		);
		const rate = rates(name);
		let w1 = b.sub(w, b.div(b.mul(m1, b.affine(baseRate, rate)), root));
		if (options.weightDecay && tensor.dims.length > 1)
			w1 = b.sub(w1, b.mul(w, b.affine(lr, rate * options.weightDecay)));
		for (const [input, next, initial] of [
			[name, w1, tensor],
			[m, m1, zeros(tensor.dims)],
			[v, v1, zeros(tensor.dims)],
		] as const) {
			const output = b.output(next, `next.${input}`);
			slots.push({ input, output: output.name });
			state.set(input, initial);
		}
	}
	// Parameters that the loss does not reach stay as they were.
	for (const [name, g] of gradients)
		if (!g) b.graph.initializers.set(name, lifted.values.get(name) as Tensor);
	b.graph.inputs = b.graph.inputs.filter(
		(v) => !b.graph.initializers.has(v.name),
	);
	inferTypes(b.graph);
	return { graph: b.graph, slots, state };
}

/** min(1, clip / norm) with the norm over all gradients; the norm becomes an output. */
function clipScale(b: GraphBuilder, gradients: Value[], clip: number): Value {
	let total: Value | undefined;
	for (const g of gradients) {
		const square = b.op("ReduceSumSquare", [g], { keepdims: 0 });
		total = total ? b.add(total, square) : square;
	}
	const norm = b.op("Sqrt", [total ?? b.scalar(0)]);
	b.output(norm, GRADIENT_NORM);
	return b.op("Min", [
		b.scalar(1),
		b.div(b.scalar(clip), b.affine(norm, 1, 1e-12)),
	]);
}
