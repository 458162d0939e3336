import {
	type GraphBuilder,
	scalar,
	type Tensor,
	type Value,
	zeros,
} from "@wattvox/onnx";
import { GRADIENT_NORM } from "./adamw-pass.ts";

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
/** Name of the input that divides gradients which were scaled; see `LOSS_SCALE`. */
export const UNSCALE = "adamw.unscale";
export const CORRECTION1 = "adamw.c1";
export const CORRECTION2 = "adamw.c2";
export { GRADIENT_NORM };

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

/** How single parameters differ from the rest. */
export interface ParameterSettings {
	/** Factor of the learning rate. */
	rate: number;
	/** In place of the optimiser's weight decay. */
	weightDecay?: number | undefined;
}

/** What a step does to the state. */
export interface Updates {
	slots: StateSlot[];
	/** The moments, zero at first, and the parameters as they were. */
	state: Map<string, Tensor>;
}

/**
 * Adds clipping and AdamW to a graph that has parameters as inputs and their gradients as values. The
 * next state and the gradient norm become outputs.
 * @param unscale true when the gradients are to be multiplied by the input {@link UNSCALE} first
 */
export function adamWUpdates(
	b: GraphBuilder,
	gradients: readonly [string, Value][],
	values: ReadonlyMap<string, Tensor>,
	options: AdamWOptions,
	settings: (name: string) => ParameterSettings,
	unscale = false,
): Updates {
	const factor = unscale ? b.input(UNSCALE, "float32", []) : undefined;
	const whole = gradients.map(([name, g]): [string, Value] => [
		name,
		factor ? b.mul(g, factor) : g,
	]);
	const scale = clipScale(
		b,
		whole.map(([, g]) => g),
		options.clip,
	);
	const lr = b.input(LEARNING_RATE, "float32", []);
	const c1 = b.input(CORRECTION1, "float32", []);
	const c2 = b.input(CORRECTION2, "float32", []);
	const rootC2 = b.op("Sqrt", [c2]);
	const baseRate = b.mul(lr, c1);

	const slots: StateSlot[] = [];
	const state = new Map<string, Tensor>();
	for (const [name, gradient] of whole) {
		const tensor = values.get(name) as Tensor;
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
		const { rate, weightDecay } = settings(name);
		const decay =
			weightDecay ?? (tensor.dims.length > 1 ? options.weightDecay : 0);
		let w1 = b.sub(w, b.div(b.mul(m1, b.affine(baseRate, rate)), root));
		if (decay) w1 = b.sub(w1, b.mul(w, b.affine(lr, rate * decay)));
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
	return { slots, state };
}

/** min(1, clip / norm) with the norm over all gradients; the norm becomes an output. */
function clipScale(
	b: GraphBuilder,
	gradients: readonly Value[],
	clip: number,
): Value {
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
