import type { Net } from "@wattvox/models";
import { floats, type Value } from "@wattvox/onnx";

/** sum(x mask) / sum(mask), with mask [B, T, 1] and x [B, T, C] averaged over C. A scalar. */
export function maskedMean(n: Net, x: Value, mask: Value): Value {
	const { b } = n;
	const width = x.shape?.at(-1) as number;
	const total = b.sum(b.mul(x, mask));
	return b.div(total, b.affine(b.sum(mask), width, 1e-6));
}

/** Mean absolute difference over real rows. */
export const l1 = (n: Net, a: Value, d: Value, mask: Value): Value =>
	maskedMean(n, n.b.op("Abs", [n.b.sub(a, d)]), mask);

/** Mean squared difference over real rows. */
export function l2(n: Net, a: Value, d: Value, mask: Value): Value {
	const diff = n.b.sub(a, d);
	return maskedMean(n, n.b.mul(diff, diff), mask);
}

/** Mean squared difference of vectors [B, C]. */
export function vectorL2(n: Net, a: Value, d: Value): Value {
	const diff = n.b.sub(a, d);
	return n.b.mean(n.b.mul(diff, diff));
}

/** Mel-cepstra whose spread {@link varianceGap} compares: c1..c25, what the voice's timbre lives in. */
const ORDERS = 25;
/** Added to variances: a constant segment has no logarithm. */
const LEAST = 1e-4;

/**
 * How far the spread of predicted mel rows is from the recordings', a scalar: the mean over utterances
 * and cepstral orders of |log(var_a / var_d)| / 2, the variance taken over an utterance's real rows.
 * A mean error alone is least when every prediction is an average, which sounds muffled; this is the
 * "global variance" of Toda and Tokuda (2007) as a training term.
 * @param a predicted and
 * @param d recorded log-mel rows [B, T, C]
 * @param mask [B, T, 1]
 */
export function varianceGap(n: Net, a: Value, d: Value, mask: Value): Value {
	const { b } = n;
	const width = a.shape?.at(-1) as number;
	const basis = b.constant(floats(cosines(width), [width, ORDERS]));
	const rows = b.affine(b.sum(mask, [1], 1), 1, 1e-6);
	const logVariance = (x: Value) => {
		const c = b.matmul(x, basis);
		const mean = b.div(b.sum(b.mul(c, mask), [1], 1), rows);
		const gap = b.mul(b.sub(c, mean), mask);
		return b.op("Log", [
			b.affine(b.div(b.sum(b.mul(gap, gap), [1], 1), rows), 1, LEAST),
		]);
	};
	const gap = b.op("Abs", [b.sub(logVariance(a), logVariance(d))]);
	return b.affine(b.mean(gap), 0.5);
}

/** Orthonormal DCT-II without its constant row, [width, ORDERS]. */
function cosines(width: number): Float32Array {
	const out = new Float32Array(width * ORDERS);
	for (let i = 0; i < width; i++)
		for (let k = 0; k < ORDERS; k++)
			out[i * ORDERS + k] =
				Math.sqrt(2 / width) *
				Math.cos((Math.PI * (k + 1) * (i + 0.5)) / width);
	return out;
}
