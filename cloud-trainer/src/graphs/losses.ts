import type { Net } from "@wattvox/models";
import type { Value } from "@wattvox/onnx";

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
