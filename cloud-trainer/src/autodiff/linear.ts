import { floatAttr, intAttr, type Value } from "@wattvox/onnx";
import {
	g0,
	input,
	type Rule,
	shapeOf,
	unsupported,
	type VjpContext,
	x0,
} from "./vjp.ts";

const fused = (
	c: VjpContext,
	a: Value,
	b: Value,
	transA: number,
	transB: number,
): Value => c.b.op("FusedMatMul", [a, b], { transA, transB }, "com.microsoft");

/** Folds all axes but the last into one. */
function rows(c: VjpContext, v: Value): Value {
	const rank = shapeOf(c, v).length;
	return rank === 2 ? v : c.b.op("Flatten", [v], { axis: rank - 1 });
}

/** Rules for products of matrices and for normalisation over the last axes. */
export const linear = {
	// y = a b: da = g b^T, db = a^T g. For a weight, one Gemm over all rows beats a batch of small ones.
	// A vector on the left is a row, on the right a column, and neither leaves an axis in y.
	MatMul: (c) => {
		const { b } = c;
		const [a, w] = [x0(c), input(c, 1)];
		const [row, column] = [a, w].map((v) => shapeOf(c, v).length === 1);
		const left = row ? b.op("Unsqueeze", [a, b.ints([0])]) : a;
		const right = column ? b.op("Unsqueeze", [w, b.ints([1])]) : w;
		const gone = [...(row ? [-2] : []), ...(column ? [-1] : [])];
		const g = gone.length ? b.op("Unsqueeze", [g0(c), b.ints(gone)]) : g0(c);
		const da = c.needs[0] ? fused(c, g, right, 0, 1) : undefined;
		const weighs = () =>
			shapeOf(c, right).length === 2
				? b.op("Gemm", [rows(c, left), rows(c, g)], { transA: 1 })
				: fused(c, left, g, 1, 0);
		const dw = c.needs[1] ? weighs() : undefined;
		return [
			da && row ? b.op("Squeeze", [da, b.ints([-2])]) : da,
			dw && column ? b.op("Squeeze", [dw, b.ints([-1])]) : dw,
		];
	},
	// y = alpha A' B' + beta C, with A' = A or A^T
	Gemm: (c) => {
		const { b, node } = c;
		const [a, w] = [x0(c), input(c, 1)];
		const [ta, tb] = [intAttr(node, "transA", 0), intAttr(node, "transB", 0)];
		const alpha = floatAttr(node, "alpha", 1);
		const beta = floatAttr(node, "beta", 1);
		const g = g0(c);
		const gemm = (l: Value, r: Value, transA: number, transB: number) =>
			b.op("Gemm", [l, r], {
				transA,
				transB,
				alpha: { kind: "float", value: alpha },
			});
		return [
			c.needs[0] ? (ta ? gemm(w, g, tb, 1) : gemm(g, w, 0, 1 - tb)) : undefined,
			c.needs[1] ? (tb ? gemm(g, a, 1, ta) : gemm(a, g, 1 - ta, 0)) : undefined,
			c.needs[2] ? b.affine(g, beta) : undefined,
		];
	},
	// xhat = (x - mean) r, y = xhat gamma + beta, with q = g gamma:
	// dx = r (q - mean(q) - xhat mean(q xhat)), dgamma = sum(g xhat), dbeta = sum(g)
	LayerNormalization: (c) => {
		const { b, node } = c;
		const x = x0(c);
		const rank = shapeOf(c, x).length;
		const axis = intAttr(node, "axis", -1);
		const first = axis < 0 ? axis + rank : axis;
		const over = Array.from({ length: rank - first }, (_, i) => first + i);
		if (c.grads[1] || c.grads[2])
			throw unsupported(c, "the mean or the deviation is used as well");
		const [, mean, inv] = b.extend(node, 3) as [Value, Value, Value];
		const g = g0(c);
		const xhat = b.mul(b.sub(x, mean), inv);
		const gx = b.mul(g, xhat);
		let dx: Value | undefined;
		if (c.needs[0]) {
			const gamma = input(c, 1);
			const q = b.mul(g, gamma);
			const qx = b.mul(gx, gamma);
			dx = b.mul(
				inv,
				b.sub(b.sub(q, b.mean(q, over, 1)), b.mul(xhat, b.mean(qx, over, 1))),
			);
		}
		return [dx, c.needs[1] ? gx : undefined, c.needs[2] ? g : undefined];
	},
} satisfies Record<string, Rule>;
