import {
	AUDIO,
	aligner,
	type EncoderConfig,
	matrix,
	type Net,
	SPEAKER,
	seededRandom,
	speakerEncoder,
	unit,
} from "@wattvox/models";
import { emptyGraph, floats, type Graph, GraphBuilder } from "@wattvox/onnx";
import { LOSS } from "./acoustic.ts";
import { maskedMean } from "./losses.ts";

const start = (name: string, seed: number): Net => ({
	b: new GraphBuilder(emptyGraph(name)),
	random: seededRandom(seed),
});

/**
 * Speaker classification with an additive margin (AM-Softmax, arXiv 1801.05599): s (cos - m) for the
 * right class. Inputs: mel [B, F, 80], hot [B, speakers] one-hot.
 */
export function speakerLoss(
	c: EncoderConfig,
	speakers: number,
	seed: number,
): Graph {
	const n = start("speaker", seed);
	const { b } = n;
	const mel = b.input("mel", "float32", ["B", "F", AUDIO.nMels]);
	const hot = b.input("hot", "float32", ["B", speakers]);
	const embedding = speakerEncoder(n, c, mel);
	// Classes as rows, so that unit() scales each; the product wants them as columns.
	const classes = b.transpose(
		unit(n, matrix(n, "classes", speakers, SPEAKER)),
		[1, 0],
	);
	const cosine = b.matmul(embedding, classes);
	const logits = b.affine(b.sub(cosine, b.affine(hot, 0.2)), 24);
	const logp = b.op("LogSoftmax", [logits], { axis: -1 });
	const loss = b.op("Neg", [b.mean(b.sum(b.mul(logp, hot), [1]))]);
	b.output(loss, LOSS);
	return b.graph;
}

/** Alone: mel [B, F, 80] -> embedding [B, 192]. */
export function speakerGraph(c: EncoderConfig, seed: number): Graph {
	const n = start("speaker", seed);
	const mel = n.b.input("mel", "float32", ["B", "F", AUDIO.nMels]);
	n.b.output(speakerEncoder(n, c, mel), "embedding");
	return n.b.graph;
}

/** Phone classification per frame. Inputs: mel [B, F, 80], mask [B, F, 1], labels int64 [B, F]. */
export function alignerLoss(
	c: EncoderConfig,
	symbols: number,
	seed: number,
): Graph {
	const n = start("aligner", seed);
	const { b } = n;
	const mel = b.input("mel", "float32", ["B", "F", AUDIO.nMels]);
	const mask = b.input("mask", "float32", ["B", "F", 1]);
	const labels = b.input("labels", "int64", ["B", "F"]);
	const logp = aligner(n, c, mel, mask, symbols);
	const hot = b.op("OneHot", [
		labels,
		b.constant({
			dtype: "int64",
			dims: [],
			data: BigInt64Array.of(BigInt(symbols)),
		}),
		b.constant(floats([0, 1])),
	]);
	const picked = b.sum(b.mul(logp, hot), [2], 1);
	const loss = b.op("Neg", [maskedMean(n, picked, mask)]);
	b.output(loss, LOSS);
	return b.graph;
}

/** Alone: mel [B, F, 80], mask [B, F, 1] -> log_phones [B, F, symbols]. */
export function alignerGraph(
	c: EncoderConfig,
	symbols: number,
	seed: number,
): Graph {
	const n = start("aligner", seed);
	const mel = n.b.input("mel", "float32", ["B", "F", AUDIO.nMels]);
	const mask = n.b.input("mask", "float32", ["B", "F", 1]);
	n.b.output(aligner(n, c, mel, mask, symbols), "log_phones");
	return n.b.graph;
}
