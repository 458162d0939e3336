import type { Value } from "@wattvox/onnx";
import {
	type AcousticConfig,
	CONTENT,
	dilationOf,
	LATENT,
	MEL_MEAN,
	MEL_SCALE,
} from "./config.ts";
import {
	attention,
	block,
	layerNorm,
	linear,
	matrix,
	type Net,
	pool,
	silu,
} from "./nn.ts";

/** What the text side gives. */
export interface TextOutputs {
	/** [B, T, 256] */
	content: Value;
	/** ln(frames + 1), [B, T] */
	logDuration: Value;
	/** The sentence's semantic prompt, [B, width]. */
	prompt: Value;
	/** Weights of the last attention layer, [B, heads, T, T]. */
	attention: Value;
}

/**
 * Text side: a semantic trunk over phones, pooled into a prompt; the prompt and the speaker then
 * condition the blocks that make content rows and durations.
 * @param phones int64 [B, T]
 * @param speaker [B, 192], unit length
 * @param mask [B, T, 1], 1 for real phones; leave out for a batch without padding
 */
export function textEncoder(
	n: Net,
	c: AcousticConfig,
	phones: Value,
	speaker: Value,
	mask?: Value,
): TextOutputs {
	const { b } = n;
	return b.scope("text", () => {
		let h = b.op("Gather", [
			matrix(n, "embedding", c.symbols, c.width, Math.sqrt(c.symbols)),
			phones,
		]);
		h = block(n, "local", h, { expand: c.expand, kernel: 5 }, undefined, mask);
		let weights: Value | undefined;
		for (let i = 0; i < c.trunkLayers; i++)
			b.scope(`trunk.${i}`, () => {
				const mixed = attention(n, "attention", h, c.heads, mask);
				weights = mixed.weights;
				h = block(
					n,
					"conv",
					mixed.y,
					{ expand: c.expand, kernel: 3 },
					undefined,
					mask,
				);
			});
		const prompt = pool(n, "pool", h, mask);
		const cond = b.add(
			condition(n, "cond", speaker, c.cond),
			linear(n, "prompt", prompt, c.cond, 0.3),
		);
		for (let i = 0; i < c.contentLayers; i++)
			h = block(
				n,
				`content.${i}`,
				h,
				{ expand: c.expand, kernel: 3 },
				cond,
				mask,
			);
		const content = linear(n, "out", layerNorm(n, "norm", h), CONTENT);
		let d = block(n, "duration.block", h, { expand: 1, kernel: 3 }, cond, mask);
		d = linear(n, "duration.out", layerNorm(n, "duration.norm", d), 1, 0.3);
		return {
			content,
			logDuration: b.op("Squeeze", [b.affine(d, 1, 1.8), b.ints([2])]),
			prompt,
			attention: weights as Value,
		};
	});
}

/** A conditioning vector [B, width] from a unit-length speaker embedding [B, 192]. */
function condition(n: Net, name: string, speaker: Value, width: number): Value {
	// Unit length over 192 numbers makes each about 1/14: scale them to about 1.
	return silu(n, linear(n, name, n.b.affine(speaker, 14), width));
}

/** Mean and log standard deviation of a diagonal Gaussian, each [B, F, 16]. */
export interface Gaussian {
	mean: Value;
	logStd: Value;
}

function gaussian(n: Net, name: string, h: Value): Gaussian {
	const { b } = n;
	const both = linear(n, name, h, 2 * LATENT, 0.3);
	// Softly held within [-4, 2], where exp is harmless.
	const raw = b.slice(both, 2, LATENT, 2 * LATENT);
	return {
		mean: b.slice(both, 2, 0, LATENT),
		logStd: b.affine(b.op("Tanh", [b.affine(raw, 1 / 3)]), 3, -1),
	};
}

/** The frame side before its latent is chosen: hidden rows, the prior, and the conditioning. */
export interface FrameStart {
	h: Value;
	cond: Value;
	prior: Gaussian;
}

/**
 * First part of the frame side: content and position rows, and the prior of the latent.
 * @param content [B, F, 256]
 * @param position [B, F, 3]
 * @param speaker [B, 192]
 */
export function frameStart(
	n: Net,
	c: AcousticConfig,
	content: Value,
	position: Value,
	speaker: Value,
): FrameStart {
	const { b } = n;
	return b.scope("decoder", () => {
		const h = b.add(
			linear(n, "content", content, c.decoderWidth),
			linear(n, "position", position, c.decoderWidth),
		);
		const cond = condition(n, "cond", speaker, c.cond);
		const p = block(n, "prior.block", h, { expand: 1, kernel: 3 }, cond);
		return { h, cond, prior: gaussian(n, "prior.out", p) };
	});
}

/**
 * Second part: latent and hidden rows to log-mel, [B, F, 80].
 * @param z latent, [B, F, 16]
 */
export function frameEnd(
	n: Net,
	c: AcousticConfig,
	start: FrameStart,
	z: Value,
	nMels: number,
): Value {
	const { b } = n;
	return b.scope("decoder", () => {
		let h = b.add(start.h, linear(n, "latent", z, c.decoderWidth));
		for (let i = 0; i < c.decoderLayers; i++)
			h = block(
				n,
				`block.${i}`,
				h,
				{ expand: c.expand, kernel: 3, dilation: dilationOf(i) },
				start.cond,
			);
		const out = linear(n, "out", layerNorm(n, "norm", h), nMels, 0.5);
		return b.affine(out, MEL_SCALE, MEL_MEAN);
	});
}

/** The posterior of the latent given the real log-mel [B, F, 80]; only training uses it. */
export function posterior(
	n: Net,
	c: AcousticConfig,
	start: FrameStart,
	mel: Value,
): Gaussian {
	const { b } = n;
	return b.scope("posterior", () => {
		const seen = b.affine(mel, 1 / MEL_SCALE, -MEL_MEAN / MEL_SCALE);
		let h = b.add(
			linear(n, "mel", seen, c.posteriorWidth),
			linear(n, "content", start.h, c.posteriorWidth),
		);
		for (let i = 0; i < 2; i++)
			h = block(n, `block.${i}`, h, { expand: c.expand, kernel: 3 });
		return gaussian(n, "out", h);
	});
}

/** mean + exp(logStd) * noise. */
export const sample = (n: Net, g: Gaussian, noise: Value): Value =>
	n.b.add(g.mean, n.b.mul(n.b.op("Exp", [g.logStd]), noise));

/** Frames on each side that one output frame of the frame side depends on. */
export function decoderReach(c: AcousticConfig): number {
	let reach = 1;
	for (let i = 0; i < c.decoderLayers; i++) reach += dilationOf(i);
	return reach;
}
