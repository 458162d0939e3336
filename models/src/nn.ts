import { floats, type GraphBuilder, type Value, zeros } from "@wattvox/onnx";
import { dilationOf } from "./config.ts";

/** A seeded generator of uniform numbers in [0, 1) (mulberry32), so that a model's start is reproducible. */
export function seededRandom(seed: number): () => number {
	let a = seed >>> 0;
	return () => {
		a = (a + 0x6d2b79f5) >>> 0;
		let t = Math.imul(a ^ (a >>> 15), 1 | a);
		t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
		return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
	};
}

/** A standard normal from a uniform generator (Box-Muller). */
export function normal(random: () => number): number {
	return (
		Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random())
	);
}

/** What the layers need: where to build, and where initial weights come from. */
export interface Net {
	b: GraphBuilder;
	/** Uniform in [0, 1); null: weights are zero, since trained ones take their place. */
	random: (() => number) | null;
}

/** A weight [rows, cols] drawn from N(0, gain^2 / rows). */
export function matrix(
	n: Net,
	name: string,
	rows: number,
	cols: number,
	gain = 1,
): Value {
	const data = new Float32Array(rows * cols);
	const std = gain / Math.sqrt(rows);
	const { random } = n;
	if (gain !== 0 && random)
		for (let i = 0; i < data.length; i++) data[i] = std * normal(random);
	return n.b.weight(name, floats(data, [rows, cols]));
}

/** x W + b over the last axis: [..., in] -> [..., out]. */
export function linear(
	n: Net,
	name: string,
	x: Value,
	out: number,
	gain = 1,
): Value {
	const rows = x.shape?.at(-1);
	if (typeof rows !== "number") throw new TypeError(`${name}: open width`);
	return n.b.scope(name, () =>
		n.b.add(
			n.b.matmul(x, matrix(n, "w", rows, out, gain)),
			n.b.weight("b", zeros([out])),
		),
	);
}

/** Layer normalisation over the last axis, with gain and offset. */
export function layerNorm(n: Net, name: string, x: Value): Value {
	const width = x.shape?.at(-1) as number;
	return n.b.scope(name, () =>
		n.b.op(
			"LayerNormalization",
			[
				x,
				n.b.weight("g", floats(new Float32Array(width).fill(1))),
				n.b.weight("b", zeros([width])),
			],
			{ axis: -1, epsilon: 1e-5 },
		),
	);
}

/** x * sigmoid(x). */
export const silu = (n: Net, x: Value): Value =>
	n.b.mul(x, n.b.op("Sigmoid", [x]));

/**
 * Neighbouring rows side by side: [B, T, C] -> [B, T, k C], zeros outside. A convolution is this
 * followed by a product with [k C, out]: with many channels and few rows its gradients cost less than
 * Conv's (`npm run bench -- conv`), and LoRA needs no second form.
 */
export function unfold(n: Net, x: Value, k: number, dilation = 1): Value {
	if (k === 1) return x;
	const reach = dilation * (k - 1);
	const before = Math.floor(reach / 2);
	const padded = n.b.pad(x, 1, before, reach - before);
	const taps = Array.from({ length: k }, (_, i) => {
		const rest = reach - i * dilation;
		return n.b.slice(padded, 1, i * dilation, rest ? -rest : undefined);
	});
	return n.b.concat(taps, 2);
}

/** Settings of a residual convolution block. */
export interface BlockConfig {
	/** Inner width as a multiple of the outer one. */
	expand: number;
	kernel: number;
	dilation?: number;
}

/**
 * Residual block: y = x + W2 silu(W1 unfold(norm(x))). `cond` [B, E] scales and shifts the normalised
 * rows (FiLM), `mask` [B, T, 1] keeps padding from leaking into real rows.
 */
export function block(
	n: Net,
	name: string,
	x: Value,
	config: BlockConfig,
	cond?: Value,
	mask?: Value,
): Value {
	const { b } = n;
	const width = x.shape?.at(-1) as number;
	return b.scope(name, () => {
		let h = layerNorm(n, "norm", x);
		if (cond) h = film(n, "film", h, cond);
		if (mask) h = b.mul(h, mask);
		const up = linear(
			n,
			"up",
			unfold(n, h, config.kernel, config.dilation),
			width * config.expand,
			1.4,
		);
		return b.add(x, linear(n, "down", silu(n, up), width, 0.3));
	});
}

/**
 * A stack of blocks over spectra: five neighbouring rows to one of `width`, then blocks of three taps
 * dilated 1, 2, 4, 1, 2, 4, ..., then a normalisation. [B, F, C] -> [B, F, width].
 */
export function stack(
	n: Net,
	x: Value,
	c: { width: number; layers: number; expand: number },
	mask?: Value,
): Value {
	let h = linear(n, "in", unfold(n, x, 5), c.width);
	for (let i = 0; i < c.layers; i++)
		h = block(
			n,
			`block.${i}`,
			h,
			{ expand: c.expand, kernel: 3, dilation: dilationOf(i) },
			undefined,
			mask,
		);
	return layerNorm(n, "norm", h);
}

/** h (1 + s) + t with s, t from cond [B, E]; h is [B, T, C]. Starts as the identity. */
export function film(n: Net, name: string, h: Value, cond: Value): Value {
	const { b } = n;
	const width = h.shape?.at(-1) as number;
	const st = b.op("Unsqueeze", [
		linear(n, name, cond, 2 * width, 0.05),
		b.ints([1]),
	]);
	const scale = b.affine(b.slice(st, 2, 0, width), 1, 1);
	return b.add(b.mul(h, scale), b.slice(st, 2, width, 2 * width));
}

/**
 * Multi-head self-attention over [B, T, C], residual. Gives the new rows and the attention weights
 * [B, heads, T, T], which distillation compares.
 */
export function attention(
	n: Net,
	name: string,
	x: Value,
	heads: number,
	mask?: Value,
): { y: Value; weights: Value } {
	const { b } = n;
	const width = x.shape?.at(-1) as number;
	const each = width / heads;
	return b.scope(name, () => {
		const h = layerNorm(n, "norm", x);
		const split = (which: string, perm: number[]) =>
			b.transpose(
				b.reshape(linear(n, which, h, width), [0, 0, heads, each]),
				perm,
			);
		const q = split("q", [0, 2, 1, 3]);
		const k = split("k", [0, 2, 3, 1]);
		const v = split("v", [0, 2, 1, 3]);
		let scores = b.affine(b.matmul(q, k), 1 / Math.sqrt(each));
		if (mask) {
			// [B, T, 1] -> [B, 1, 1, T]; padding gets -10000 before the softmax.
			const row = b.op("Unsqueeze", [
				b.transpose(mask, [0, 2, 1]),
				b.ints([1]),
			]);
			scores = b.add(scores, b.affine(row, 1e4, -1e4));
		}
		const weights = b.op("Softmax", [scores], { axis: -1 });
		const mixed = b.reshape(b.transpose(b.matmul(weights, v), [0, 2, 1, 3]), [
			0,
			0,
			width,
		]);
		return { y: b.add(x, linear(n, "out", mixed, width, 0.5)), weights };
	});
}

/** Attention pooling: [B, T, C] -> [B, C], a learned weight per row. */
export function pool(n: Net, name: string, x: Value, mask?: Value): Value {
	const { b } = n;
	return b.scope(name, () => {
		let score = linear(n, "score", x, 1);
		if (mask) score = b.add(score, b.affine(mask, 1e4, -1e4));
		const weights = b.op("Softmax", [score], { axis: 1 });
		return b.sum(b.mul(x, weights), [1]);
	});
}
