// Types alone: the worker loads this file, and nothing of what builds graphs.
import type { AdamWOptions } from "./adamw.ts";

/** Name of the output with the gradient's norm before clipping. */
export const GRADIENT_NORM = "adamw.norm";

/** The scalars of one step. */
export interface StepScalars {
	learningRate: number;
	/** Number of the step, from 1: decides the bias corrections. */
	t: number;
	/** What gradients are multiplied by before anything else; 1 unless the loss was scaled. */
	unscale?: number;
}

/** One parameter, its moments and its gradient; all of a length. */
export interface Parameter {
	w: Float32Array;
	m: Float32Array;
	v: Float32Array;
	g: Float32Array;
	/** Factor of the learning rate. */
	rate: number;
	/** Decoupled weight decay. */
	decay: number;
}

/** The sum of squares, in double precision, so that its order does not matter. */
export function squares(g: Float32Array): number {
	let [a, b, c, d] = [0, 0, 0, 0];
	const even = g.length - (g.length % 4);
	let i = 0;
	for (; i < even; i += 4) {
		const p = g[i] as number;
		const q = g[i + 1] as number;
		const r = g[i + 2] as number;
		const s = g[i + 3] as number;
		a += p * p;
		b += q * q;
		c += r * r;
		d += s * s;
	}
	for (; i < g.length; i++) a += (g[i] as number) ** 2;
	return a + b + c + d;
}

/** The global norm of gradients, after unscaling. */
export function gradientNorm(
	gradients: Iterable<Float32Array>,
	unscale = 1,
): number {
	let total = 0;
	for (const g of gradients) total += squares(g);
	return Math.sqrt(total) * unscale;
}

/**
 * Clipping and AdamW in place, one pass over each parameter: nothing of a parameter's size is allocated.
 * The formulas are those of `adamWUpdates`, in double precision between reading and writing.
 * @param norm what {@link gradientNorm} gave; finite
 */
export function adamWPass(
	parameters: Iterable<Parameter>,
	norm: number,
	s: StepScalars,
	o: AdamWOptions,
): void {
	const { beta1, beta2, epsilon } = o;
	const scale = Math.min(1, o.clip / (norm + 1e-12)) * (s.unscale ?? 1);
	const c1 = 1 / (1 - beta1 ** s.t);
	const rootC2 = Math.sqrt(1 / (1 - beta2 ** s.t));
	const [keep1, keep2] = [(1 - beta1) * scale, (1 - beta2) * scale * scale];
	for (const { w, m, v, g, rate, decay } of parameters) {
		const step = s.learningRate * rate * c1;
		const shrink = 1 - s.learningRate * rate * decay;
		for (let i = 0; i < w.length; i++) {
			const e = g[i] as number;
			const m1 = beta1 * (m[i] as number) + keep1 * e;
			const v1 = beta2 * (v[i] as number) + keep2 * e * e;
			m[i] = m1;
			v[i] = v1;
			w[i] =
				shrink * (w[i] as number) -
				(step * m1) / (Math.sqrt(v1) * rootC2 + epsilon);
		}
	}
}
