import type { GraphBuilder, Value } from "@wattvox/onnx";
import { scan } from "./scan.ts";

/** One direction of a recurrent layer on its way back. Sequences are [T, B, ...], time first. */
export interface Pass {
	b: GraphBuilder;
	x: Value;
	/** Hidden states before and after each step. */
	before: Value;
	after: Value;
	/** Weights of the input [G H, I] and of the state [G H, H], and their biases [G H]. */
	w: Value;
	r: Value;
	wb: Value | undefined;
	rb: Value | undefined;
	/** Cotangents of every step's output, and of the last states [B, H]. */
	gy: Value;
	gh: Value;
	gc: Value | undefined;
	/** The cell's first state [B, H]. */
	c0: Value | undefined;
	/** What the gates i, o and f see of the cell [3 H]; undefined where they do not. */
	peepholes: Value | undefined;
	/** 1 where an example still runs, [T, B, 1]; undefined when all run to the end. */
	running: Value | undefined;
	/** The layer runs from the last element to the first. */
	backwards: boolean;
	hidden: number;
}

/** Cotangents of what the gates add up: x W^T + Wb, and before R^T + Rb; and of the first states. */
export interface Gates {
	input: Value;
	dr: Value;
	state: Value;
	dh: Value;
	dc: Value | undefined;
	/** Of the peepholes [3 H]. */
	dp?: Value;
}

const one = (b: GraphBuilder) => b.scalar(1);
export const sigmoid = (b: GraphBuilder, v: Value) => b.op("Sigmoid", [v]);
export const tanh = (b: GraphBuilder, v: Value) => b.op("Tanh", [v]);
/** Slopes by value: s (1 - s) of a sigmoid, 1 - t^2 of a tanh. */
export const bell = (b: GraphBuilder, s: Value) => b.mul(s, b.sub(one(b), s));
export const cap = (b: GraphBuilder, t: Value) => b.sub(one(b), b.mul(t, t));

/** v W^T + bias. */
export function product(
	b: GraphBuilder,
	v: Value,
	w: Value,
	bias: Value | undefined,
): Value {
	const out = b.op("FusedMatMul", [v, w], { transB: 1 }, "com.microsoft");
	return bias ? b.add(out, bias) : out;
}

/** The sum over time and examples of a^T v, for sequences a [T, B, G] and v [T, B, K]. */
export const summedProduct = (
	b: GraphBuilder,
	a: Value,
	v: Value,
	widths: readonly [number, number],
): Value =>
	b.op("Gemm", [b.reshape(a, [-1, widths[0]]), b.reshape(v, [-1, widths[1]])], {
		transA: 1,
	});

export const gatesOf = (p: Pass, v: Value, count: number): Value[] =>
	p.b.ops("Split", [v, p.b.ints(Array(count).fill(p.hidden))], count, {
		axis: -1,
	});

/** Slopes are 0 at steps after an example's end: nothing is learnt there. */
export const whileRunning = (p: Pass, v: Value): Value =>
	p.running ? p.b.mul(v, p.running) : v;
/** What carries a state on is 1 there. */
export const carried = (p: Pass, v: Value): Value =>
	p.running ? p.b.add(p.b.mul(v, p.running), p.b.sub(one(p.b), p.running)) : v;
/** 1 where an example has ended, as a list of none or one sequences. */
export const ended = (p: Pass): Value[] =>
	p.running ? [p.b.sub(one(p.b), p.running)] : [];

/** h = f(x W^T + h R^T + biases): da = (dh + g) f', dh = da R. */
export function rnnBack(p: Pass, relu: boolean): Gates {
	const { b } = p;
	const slope = relu
		? b.cast(b.op("Greater", [p.after, b.scalar(0)]), "float32")
		: cap(b, p.after);
	const { states, out } = scan(b, {
		states: [p.gh],
		sequences: [p.gy, whileRunning(p, slope), ...ended(p)],
		constants: [p.r],
		backwards: !p.backwards,
		step: (s, [dh], [g, k, over]) => {
			const sum = s.add(dh as Value, g as Value);
			const da = s.mul(sum, k as Value);
			const back = s.matmul(da, p.r);
			return {
				states: [over ? s.add(back, s.mul(sum, over)) : back],
				out: [da],
			};
		},
	});
	const da = out[0] as Value;
	return {
		input: da,
		dr: summedProduct(b, da, p.before, [p.hidden, p.hidden]),
		state: da,
		dh: states[0] as Value,
		dc: undefined,
	};
}

/**
 * z, r = sigmoid of their sums, h = (1-z) h~ + z h'. da_z = dh (h' - h~) z(1-z),
 * da_h = dh (1-z) (1-h~^2). With linear_before_reset, h~ = tanh(x Wh^T + r u), u = h' Rh^T + Rbh:
 * da_r = da_h u r(1-r), dh' = dh z + [da_z, da_r, da_h r] R. Without, h~ = tanh(x Wh^T + (r h') Rh^T):
 * s = da_h Rh, da_r = s h' r(1-r), dh' = dh z + s r + [da_z, da_r] Rzr.
 */
export function gruBack(p: Pass, resetAfter: boolean): Gates {
	const { b, hidden } = p;
	const rows = (v: Value, from: number, to: number) =>
		b.slice(v, 0, from * hidden, to * hidden);
	const [xz, xr, xh] = gatesOf(p, product(b, p.x, p.w, p.wb), 3) as [
		Value,
		Value,
		Value,
	];
	const part = (from: number, to: number, v: Value) =>
		product(b, v, rows(p.r, from, to), p.rb && rows(p.rb, from, to));
	const z = sigmoid(b, b.add(xz, part(0, 1, p.before)));
	const r = sigmoid(b, b.add(xr, part(1, 2, p.before)));
	const u = resetAfter ? part(2, 3, p.before) : part(2, 3, b.mul(r, p.before));
	const fresh = tanh(b, b.add(xh, resetAfter ? b.mul(r, u) : u));
	const kz = whileRunning(p, b.mul(b.sub(p.before, fresh), bell(b, z)));
	const kh = whileRunning(p, b.mul(b.sub(one(b), z), cap(b, fresh)));
	const kr = b.mul(resetAfter ? u : p.before, bell(b, r));
	const [rzr, rh] = [rows(p.r, 0, 2), rows(p.r, 2, 3)];
	const { states, out } = scan(b, {
		states: [p.gh],
		sequences: [p.gy, kz, kr, kh, r, carried(p, z)],
		constants: resetAfter ? [p.r] : [rzr, rh],
		backwards: !p.backwards,
		step: (s, [dh], elements) => {
			const [g, z1, r1, h1, reset, keep] = elements as Value[] as [
				Value,
				Value,
				Value,
				Value,
				Value,
				Value,
			];
			const sum = s.add(dh as Value, g);
			const [az, ah] = [s.mul(sum, z1), s.mul(sum, h1)];
			const held = s.mul(sum, keep);
			if (resetAfter) {
				const ar = s.mul(ah, r1);
				const through = s.matmul(s.concat([az, ar, s.mul(ah, reset)], -1), p.r);
				return {
					states: [s.add(held, through)],
					out: [s.concat([az, ar, ah], -1)],
				};
			}
			const back = s.matmul(ah, rh);
			const ar = s.mul(back, r1);
			const through = s.matmul(s.concat([az, ar], -1), rzr);
			return {
				states: [s.add(s.add(held, s.mul(back, reset)), through)],
				out: [s.concat([az, ar, ah], -1)],
			};
		},
	});
	const da = out[0] as Value;
	const [az, ar, ah] = gatesOf(p, da, 3) as [Value, Value, Value];
	const dr = resetAfter
		? undefined
		: b.concat(
				[
					summedProduct(b, b.concat([az, ar], -1), p.before, [
						2 * hidden,
						hidden,
					]),
					summedProduct(b, ah, b.mul(r, p.before), [hidden, hidden]),
				],
				0,
			);
	const state = resetAfter ? b.concat([az, ar, b.mul(ah, r)], -1) : da;
	return {
		input: da,
		dr: dr ?? summedProduct(b, state, p.before, [3 * hidden, hidden]),
		state,
		dh: states[0] as Value,
		dc: undefined,
	};
}
