import {
	type AcousticConfig,
	AUDIO,
	CONTENT,
	frameEnd,
	frameStart,
	type Gaussian,
	LATENT,
	type Net,
	POSITION,
	posterior,
	SPEAKER,
	sample,
	seededRandom,
	textEncoder,
} from "@wattvox/models";
import {
	emptyGraph,
	type Graph,
	GraphBuilder,
	type Value,
} from "@wattvox/onnx";
import { l1, l2, maskedMean, varianceGap } from "./losses.ts";

/** Key of a graph's metadata: the name of the value that holds the content rows [B, T, 256]. */
export const CONTENT_VALUE = "wattvox.content";

/** Name of the scalar that training lowers. */
export const LOSS = "loss";

/** Weights of the distillation terms. */
export const DISTIL = {
	content: 1,
	attention: 50,
	mel: 1,
	duration: 1,
	prior: 0.1,
};

/** In place of a seed: the weights are zero, since trained ones take their place. Drawing costs time. */
export const BLANK = "blank";

/** Seed of the first weights, or {@link BLANK}. */
export type Seed = number | typeof BLANK;

function start(name: string, seed: Seed): Net {
	return {
		b: new GraphBuilder(emptyGraph(name)),
		random: seed === BLANK ? null : seededRandom(seed),
	};
}

interface Batch {
	phones: Value;
	phoneMask: Value;
	speaker: Value;
	logDuration: Value;
	align: Value;
	position: Value;
	mel: Value;
	frameMask: Value;
	lossMask: Value;
	noise: Value;
	usePosterior: Value;
	klWeight: Value;
}

/**
 * Inputs of one batch: B sentences of T phones, of each a segment of F frames.
 * align [B, F, T] is 1 where a frame belongs to a phone; frames past the end are all zero.
 */
function batchInputs(b: GraphBuilder): Batch {
	return {
		phones: b.input("phones", "int64", ["B", "T"]),
		phoneMask: b.input("phone_mask", "float32", ["B", "T", 1]),
		speaker: b.input("speaker", "float32", ["B", SPEAKER]),
		logDuration: b.input("log_duration", "float32", ["B", "T"]),
		align: b.input("align", "float32", ["B", "F", "T"]),
		position: b.input("position", "float32", ["B", "F", POSITION]),
		mel: b.input("mel", "float32", ["B", "F", AUDIO.nMels]),
		frameMask: b.input("frame_mask", "float32", ["B", "F", 1]),
		lossMask: b.input("loss_mask", "float32", ["B", "F", 1]),
		noise: b.input("noise", "float32", ["B", "F", LATENT]),
		usePosterior: b.input("use_posterior", "float32", ["B", 1, 1]),
		klWeight: b.input("kl_weight", "float32", []),
	};
}

/** KL(q || p) of diagonal Gaussians, [B, F, 16]. */
function divergence(n: Net, q: Gaussian, p: Gaussian): Value {
	const { b } = n;
	const gap = b.sub(q.mean, p.mean);
	const spread = b.add(b.op("Exp", [b.affine(q.logStd, 2)]), b.mul(gap, gap));
	const scaled = b.mul(
		spread,
		b.affine(b.op("Exp", [b.affine(p.logStd, -2)]), 0.5),
	);
	return b.affine(b.add(b.sub(p.logStd, q.logStd), scaled), 1, -0.5);
}

interface Forward {
	n: Net;
	batch: Batch;
	mel: Value;
	content: Value;
	logDuration: Value;
	attention: Value;
	prior: Gaussian;
	/** The losses of training on recordings, each a scalar. */
	melLoss: Value;
	durationLoss: Value;
	kl: Value;
}

/** How an acoustic model is trained. */
export interface AcousticLossOptions {
	/** False leaves the posterior out: the prior's mean is decoded, as at synthesis. Default true. */
	variational?: boolean;
	/** Weight of the spread of mel-cepstra beside their mean error; default 0: left out. */
	variance?: number;
}

/**
 * @param variational false leaves the posterior out: the prior's mean is decoded, as at synthesis
 */
function forward(c: AcousticConfig, seed: Seed, variational = true): Forward {
	const n = start("acoustic", seed);
	const { b } = n;
	const batch = batchInputs(b);
	const text = textEncoder(n, c, batch.phones, batch.speaker, batch.phoneMask);
	// Length regulation as a product, so that gradients reach the phones.
	const content = b.matmul(batch.align, text.content);
	b.graph.metadata[CONTENT_VALUE] = text.content.name;
	const first = frameStart(n, c, content, batch.position, batch.speaker);
	let z = first.prior.mean;
	let kl: Value | undefined;
	if (variational) {
		const q = posterior(n, c, first, batch.mel);
		kl = divergence(n, q, first.prior);
		// Rows with use_posterior 0 decode the prior's mean: what synthesis does at noise 0.
		const drawn = sample(n, q, batch.noise);
		z = b.add(z, b.mul(b.sub(drawn, z), batch.usePosterior));
	}
	const mel = frameEnd(n, c, first, z, AUDIO.nMels);
	const unsqueeze = (v: Value) => b.op("Unsqueeze", [v, b.ints([2])]);
	return {
		n,
		batch,
		mel,
		content: text.content,
		logDuration: text.logDuration,
		attention: text.attention,
		prior: first.prior,
		melLoss: l1(n, mel, batch.mel, batch.lossMask),
		durationLoss: l2(
			n,
			unsqueeze(text.logDuration),
			unsqueeze(batch.logDuration),
			batch.phoneMask,
		),
		// Summed over the latent, per mel band: on the scale of the mel loss.
		kl: kl
			? b.affine(maskedMean(n, kl, batch.lossMask), LATENT / AUDIO.nMels)
			: b.scalar(0),
	};
}

/**
 * Trains on recordings: mel L1 + squared error of log durations + weighted KL. Outputs `loss`,
 * `loss.mel`, `loss.duration`, `loss.kl`, and `loss.variance` where that counts.
 */
export function acousticLoss(
	c: AcousticConfig,
	seed: Seed,
	{ variational = true, variance = 0 }: AcousticLossOptions = {},
): Graph {
	const f = forward(c, seed, variational);
	const { b } = f.n;
	b.output(f.melLoss, "loss.mel");
	b.output(f.durationLoss, "loss.duration");
	b.output(f.kl, "loss.kl");
	let total = b.add(
		b.add(f.melLoss, f.durationLoss),
		b.mul(f.kl, f.batch.klWeight),
	);
	if (variance > 0) {
		const gap = varianceGap(f.n, f.mel, f.batch.mel, f.batch.lossMask);
		b.output(gap, "loss.variance");
		total = b.add(total, b.affine(gap, variance));
	}
	b.output(total, LOSS);
	return b.graph;
}

/**
 * The same for the decoder alone, whose content rows are an input: what `acousticLoss` is without the
 * posterior where the text side stays as it is. Outputs `loss`, `loss.mel`, and `loss.variance` where that
 * counts.
 */
export function decoderLoss(
	c: AcousticConfig,
	seed: Seed,
	{ variance = 0 }: Pick<AcousticLossOptions, "variance"> = {},
): Graph {
	const n = start("decoder", seed);
	const { b } = n;
	const content = b.input("content", "float32", ["B", "F", CONTENT]);
	const position = b.input("position", "float32", ["B", "F", POSITION]);
	const speaker = b.input("speaker", "float32", ["B", SPEAKER]);
	const said = b.input("mel", "float32", ["B", "F", AUDIO.nMels]);
	const mask = b.input("loss_mask", "float32", ["B", "F", 1]);
	const first = frameStart(n, c, content, position, speaker);
	const mel = frameEnd(n, c, first, first.prior.mean, AUDIO.nMels);
	const gap = b.output(l1(n, mel, said, mask), "loss.mel");
	let total = gap;
	if (variance > 0) {
		const spread = varianceGap(n, mel, said, mask);
		b.output(spread, "loss.variance");
		total = b.add(total, b.affine(spread, variance));
	}
	b.output(total, LOSS);
	return b.graph;
}

/**
 * What a student learns from: run it on the same batch. Outputs `t.content` [B, T, 256], `t.attention`,
 * `t.mel` [B, F, 80], `t.log_duration` [B, T], `t.prior` [B, F, 16].
 */
export function teacherOutputs(
	c: AcousticConfig,
	seed: Seed,
	variational = true,
): Graph {
	const f = forward(c, seed, variational);
	const { b } = f.n;
	b.output(f.content, "t.content");
	b.output(f.attention, "t.attention");
	b.output(f.mel, "t.mel");
	b.output(f.logDuration, "t.log_duration");
	b.output(f.prior.mean, "t.prior");
	return b.graph;
}

/**
 * Trains a student on what its teacher said of the same batch (hidden rows, attention, prior, mel,
 * durations), with a share of the recordings themselves.
 * @param truth weight of the recordings' own mel and durations beside the teacher's
 */
export function distillationLoss(
	c: AcousticConfig,
	seed: Seed,
	truth: number,
	{ variational = true, variance = 0 }: AcousticLossOptions = {},
): Graph {
	const f = forward(c, seed, variational);
	const { b } = f.n;
	const { batch } = f;
	const of = (name: string, shape: (string | number)[]) =>
		b.input(name, "float32", shape);
	const content = of("t.content", ["B", "T", CONTENT]);
	const attention = of("t.attention", ["B", c.heads, "T", "T"]);
	const mel = of("t.mel", ["B", "F", AUDIO.nMels]);
	const logDuration = of("t.log_duration", ["B", "T"]);
	const prior = of("t.prior", ["B", "F", LATENT]);
	const unsqueeze = (v: Value) => b.op("Unsqueeze", [v, b.ints([2])]);
	const gap = b.sub(f.attention, attention);
	const terms: [string, Value, number][] = [
		["content", l2(f.n, f.content, content, batch.phoneMask), DISTIL.content],
		["attention", b.mean(b.mul(gap, gap)), DISTIL.attention],
		["mel", l1(f.n, f.mel, mel, batch.lossMask), DISTIL.mel],
		[
			"duration",
			l2(
				f.n,
				unsqueeze(f.logDuration),
				unsqueeze(logDuration),
				batch.phoneMask,
			),
			DISTIL.duration,
		],
		["prior", l2(f.n, f.prior.mean, prior, batch.lossMask), DISTIL.prior],
	];
	if (variance > 0)
		terms.push([
			"variance",
			varianceGap(f.n, f.mel, mel, batch.lossMask),
			variance,
		]);
	let total = b.mul(f.kl, batch.klWeight);
	for (const [name, value, weight] of terms) {
		b.output(value, `loss.t.${name}`);
		total = b.add(total, b.affine(value, weight));
	}
	b.output(f.melLoss, "loss.mel");
	b.output(f.durationLoss, "loss.duration");
	total = b.add(total, b.affine(b.add(f.melLoss, f.durationLoss), truth));
	b.output(total, LOSS);
	return b.graph;
}
