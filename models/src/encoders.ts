import type { Value } from "@wattvox/onnx";
import { MEL_MEAN, MEL_SCALE, SPEAKER } from "./config.ts";
import { linear, type Net, stack } from "./nn.ts";

/** Sizes of the speaker encoder and the aligner. */
export interface EncoderConfig {
	width: number;
	layers: number;
	expand: number;
}

export const speakerConfig: EncoderConfig = {
	width: 160,
	layers: 3,
	expand: 2,
};
export const alignerConfig: EncoderConfig = {
	width: 160,
	layers: 3,
	expand: 2,
};

/**
 * Speaker encoder (the ECAPA-TDNN idea: dilated context, attentive statistics): log-mel [B, F, 80] of
 * any length -> unit-length embedding [B, 192].
 */
export function speakerEncoder(n: Net, c: EncoderConfig, mel: Value): Value {
	const { b } = n;
	return b.scope("speaker", () => {
		const seen = b.affine(mel, 1 / MEL_SCALE, -MEL_MEAN / MEL_SCALE);
		const h = stack(n, seen, c);
		// Attentive statistics: a weight per row and channel, then weighted mean and deviation.
		const weights = b.op("Softmax", [linear(n, "score", h, c.width, 0.3)], {
			axis: 1,
		});
		const mean = b.sum(b.mul(h, weights), [1]);
		const square = b.sum(b.mul(b.mul(h, h), weights), [1]);
		const variance = b.op("Max", [
			b.sub(square, b.mul(mean, mean)),
			b.scalar(1e-4),
		]);
		const stats = b.concat([mean, b.op("Sqrt", [variance])], 1);
		return unit(n, linear(n, "out", stats, SPEAKER));
	});
}

/** Rows scaled to unit length. */
export function unit(n: Net, x: Value): Value {
	const { b } = n;
	const norm = b.op("Sqrt", [b.affine(b.sum(b.mul(x, x), [-1], 1), 1, 1e-8)]);
	return b.div(x, norm);
}

/**
 * Aligner: log-mel [B, F, 80] -> log-probabilities of phones [B, F, symbols]. The mean over time is
 * taken out first, so that a voice's timbre and a room's colour matter less.
 * @param mask [B, F, 1], 1 for real frames
 */
export function aligner(
	n: Net,
	c: EncoderConfig,
	mel: Value,
	mask: Value,
	symbols: number,
): Value {
	const { b } = n;
	return b.scope("aligner", () => {
		const seen = b.affine(mel, 1 / MEL_SCALE, -MEL_MEAN / MEL_SCALE);
		const mean = b.div(b.sum(b.mul(seen, mask), [1], 1), b.sum(mask, [1], 1));
		const centred = b.mul(b.sub(seen, mean), mask);
		const h = stack(n, centred, c, mask);
		const logits = linear(n, "out", h, symbols, 0.3);
		return b.op("LogSoftmax", [logits], { axis: -1 });
	});
}
