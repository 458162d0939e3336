import { type GraphBuilder, stringAttr, type Value } from "@wattvox/onnx";
import { g0, type Rule, x0 } from "./vjp.ts";

/** Phi(x) + x phi(x), with Phi and phi the normal distribution and its density. */
function geluSlope(b: GraphBuilder, x: Value): Value {
	const phi = b.op("Exp", [b.affine(b.mul(x, x), -0.5)]);
	const erf = b.op("Erf", [b.affine(x, Math.SQRT1_2)]);
	return b.add(
		b.affine(erf, 0.5, 0.5),
		b.mul(x, b.affine(phi, 1 / Math.sqrt(2 * Math.PI))),
	);
}

/**
 * The slope of x/2 (1 + t), t = tanh(u), u = k (x + a x^3), k = sqrt(2/pi), a = 0.044715:
 * (1 + t)/2 + x/2 (1 - t^2) k (1 + 3 a x^2).
 */
function geluTanhSlope(b: GraphBuilder, x: Value): Value {
	const [k, a] = [Math.sqrt(2 / Math.PI), 0.044715];
	const square = b.mul(x, x);
	const t = b.op("Tanh", [b.mul(x, b.affine(square, k * a, k))]);
	const steep = b.mul(
		b.affine(b.mul(t, t), -1, 1),
		b.affine(square, 1.5 * k * a, 0.5 * k),
	);
	return b.add(b.affine(t, 0.5, 0.5), b.mul(x, steep));
}

/** Rules for activations and layers that are one operator where others write several. */
export const fused = {
	Gelu: (c) => {
		const tanh = stringAttr(c.node, "approximate", "none") === "tanh";
		const slope = tanh ? geluTanhSlope : geluSlope;
		return [c.b.mul(g0(c), slope(c.b, x0(c)))];
	},
	"com.microsoft.Gelu": (c) => [c.b.mul(g0(c), geluSlope(c.b, x0(c)))],
	// The tanh form, of x and a bias together.
	"com.microsoft.FastGelu": (c) => {
		const bias = c.inputs[1];
		const sum = bias ? c.b.add(x0(c), bias) : x0(c);
		const g = c.b.mul(g0(c), geluTanhSlope(c.b, sum));
		return [g, g];
	},
} satisfies Record<string, Rule>;
