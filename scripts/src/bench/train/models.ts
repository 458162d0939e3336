import {
	acousticLoss,
	inject,
	type LossTerm,
	recordingTerms,
	VOICE_TARGETS,
} from "@wattvox/cloud-trainer";
import {
	AUDIO,
	attention,
	LATENT,
	layerNorm,
	linear,
	type Net,
	normal,
	POSITION,
	SPEAKER,
	seededRandom,
	studentConfig,
} from "@wattvox/models";
import {
	emptyGraph,
	floats,
	type Graph,
	GraphBuilder,
	int64s,
	type Tensor,
	type Value,
	zeros,
} from "@wattvox/onnx";

/** The models that both sides train. */
export const MODELS = ["acoustic", "transformer", "vocoder"] as const;
export type ModelName = (typeof MODELS)[number];
/** What is trained: low-rank pairs, or every weight. */
export const MODES = ["lora", "full"] as const;
export type Mode = (typeof MODES)[number];

/** Sizes of all three; the Python side reads those of its model. */
export interface Sizes {
	rank: number;
	alpha: number;
	acoustic: {
		batch: number;
		phones: number;
		frames: number;
		symbols: number;
		heads: number;
		trunkLayers: number;
		contentLayers: number;
		decoderLayers: number;
	};
	transformer: {
		batch: number;
		steps: number;
		width: number;
		layers: number;
		heads: number;
		out: number;
	};
	/** HiFi-GAN (arXiv 2010.05646) as its V2, on crops. */
	vocoder: {
		batch: number;
		frames: number;
		width: number;
		/** Stride of each ConvTranspose; its kernel is twice that. */
		rates: number[];
		kernels: number[];
		dilations: number[];
	};
}

const { heads, trunkLayers, contentLayers, decoderLayers } = studentConfig(80);

export const SIZES: Sizes = {
	rank: 16,
	alpha: 32,
	acoustic: {
		batch: 8,
		phones: 60,
		frames: 200,
		symbols: 80,
		heads,
		trunkLayers,
		contentLayers,
		decoderLayers,
	},
	transformer: {
		batch: 8,
		steps: 200,
		width: 384,
		layers: 6,
		heads: 6,
		out: 80,
	},
	vocoder: {
		batch: 4,
		frames: 32,
		width: 128,
		rates: [8, 8, 2, 2],
		kernels: [3, 7, 11],
		dilations: [1, 3, 5],
	},
};

/** Small enough for a test. */
export const TINY: Sizes = {
	rank: 2,
	alpha: 4,
	acoustic: { ...SIZES.acoustic, batch: 2, phones: 6, frames: 16 },
	transformer: {
		batch: 2,
		steps: 10,
		width: 16,
		layers: 2,
		heads: 2,
		out: 8,
	},
	vocoder: {
		batch: 2,
		frames: 8,
		width: 16,
		rates: [4, 2],
		kernels: [3, 5],
		dilations: [1, 3],
	},
};

/** A model to train, and one batch for it. */
export interface TrainTask {
	/** Ends in the scalar `loss`. */
	graph: Graph;
	/** Names of the initialisers that a step moves. */
	trainable: string[];
	batch: Record<string, Tensor>;
	/** How parts of the batch weigh in the loss, where that is more than their rows. */
	terms?: LossTerm[];
}

/**
 * Parts that our side computes a batch in, unless told otherwise: products of 400 rows are as fast as
 * those of 1600, but convolutions of one crop are slower than of four.
 */
export const PARTS: Record<ModelName, number> = {
	acoustic: 4,
	transformer: 4,
	vocoder: 1,
};

/** Random numbers of a normal distribution. */
function drawn(dims: readonly number[], seed: number, std = 1): Tensor {
	const random = seededRandom(seed);
	const size = dims.reduce((a, b) => a * b, 1);
	const data = Float32Array.from({ length: size }, () => std * normal(random));
	return floats(data, dims);
}

const net = (name: string): Net => ({
	b: new GraphBuilder(emptyGraph(name, 20)),
	random: seededRandom(1),
});

/** Our student, decoding the prior's mean as a voice's adapter is trained. */
function acoustic({ acoustic: s }: Sizes): Omit<TrainTask, "trainable"> {
	const { batch: B, phones: T, frames: F } = s;
	const align = new Float32Array(B * F * T);
	for (let b = 0; b < B; b++)
		for (let f = 0; f < F; f++)
			align[(b * F + f) * T + Math.floor((f * T) / F)] = 1;
	const ones = (dims: number[]) =>
		floats(new Float32Array(dims.reduce((a, b) => a * b, 1)).fill(1), dims);
	const phones = Array.from({ length: B * T }, (_, i) => (7 * i) % s.symbols);
	return {
		graph: acousticLoss({ ...studentConfig(s.symbols), ...s }, 1, {
			variational: false,
		}),
		batch: {
			phones: { ...int64s(phones), dims: [B, T] },
			phone_mask: ones([B, T, 1]),
			speaker: drawn([B, SPEAKER], 2, 1 / 14),
			log_duration: drawn([B, T], 3),
			align: floats(align, [B, F, T]),
			position: drawn([B, F, POSITION], 4),
			mel: drawn([B, F, AUDIO.nMels], 5),
			frame_mask: ones([B, F, 1]),
			loss_mask: ones([B, F, 1]),
			noise: zeros([B, F, LATENT]),
			use_posterior: zeros([B, 1, 1]),
			kl_weight: floats([0], []),
		},
		terms: recordingTerms(0),
	};
}

/** A pre-norm encoder with Gelu; the loss is the mean squared error of its head. */
function transformer({ transformer: s }: Sizes): Omit<TrainTask, "trainable"> {
	const n = net("transformer");
	const { b } = n;
	let h = b.input("x", "float32", ["B", "T", s.width]);
	const target = b.input("target", "float32", ["B", "T", s.out]);
	for (let i = 0; i < s.layers; i++)
		b.scope(`layers.${i}`, () => {
			h = attention(n, "attention", h, s.heads).y;
			const up = linear(n, "up", layerNorm(n, "norm", h), 4 * s.width);
			h = b.add(h, linear(n, "down", b.op("Gelu", [up]), s.width, 0.5));
		});
	const out = linear(n, "head", layerNorm(n, "norm", h), s.out);
	const gap = b.sub(out, target);
	b.output(b.mean(b.mul(gap, gap)), "loss");
	return {
		graph: b.graph,
		batch: {
			x: drawn([s.batch, s.steps, s.width], 2),
			target: drawn([s.batch, s.steps, s.out], 3),
		},
	};
}

/** HiFi-GAN's generator; the loss is the mean absolute error of its wave. */
function vocoder({ vocoder: s }: Sizes): Omit<TrainTask, "trainable"> {
	const n = net("vocoder");
	const { b } = n;
	let seed = 10;
	const leaky = (x: Value) =>
		b.op("LeakyRelu", [x], { alpha: { kind: "float", value: 0.1 } });
	const conv = (name: string, x: Value, out: number, k: number, d = 1) => {
		const from = x.shape?.[1] as number;
		const w = drawn([out, from, k], seed++, 1 / Math.sqrt(from * k));
		const reach = (d * (k - 1)) / 2;
		return b.scope(name, () =>
			b.op("Conv", [x, b.weight("w", w), b.weight("b", zeros([out]))], {
				dilations: [d],
				pads: [reach, reach],
				kernel_shape: [k],
			}),
		);
	};
	let h = b.input("mel", "float32", ["B", AUDIO.nMels, s.frames]);
	h = conv("pre", h, s.width, 7);
	let width = s.width;
	for (const [i, r] of s.rates.entries()) {
		const from = width;
		width /= 2;
		const w = drawn([from, width, 2 * r], seed++, 1 / Math.sqrt(2 * from));
		h = b.scope(`ups.${i}`, () =>
			b.op(
				"ConvTranspose",
				[leaky(h), b.weight("w", w), b.weight("b", zeros([width]))],
				{ strides: [r], pads: [r / 2, r / 2], kernel_shape: [2 * r] },
			),
		);
		const parts = s.kernels.map((k, j) =>
			b.scope(`res.${i}.${j}`, () => {
				let x = h;
				for (const [m, d] of s.dilations.entries()) {
					const y = conv(`a.${m}`, leaky(x), width, k, d);
					x = b.add(x, conv(`b.${m}`, leaky(y), width, k));
				}
				return x;
			}),
		);
		h = b.affine(parts.reduce(b.add), 1 / parts.length);
	}
	const wave = b.op("Tanh", [conv("post", leaky(h), 1, 7)]);
	const samples = s.frames * s.rates.reduce((a, r) => a * r, 1);
	const target = b.input("wave", "float32", ["B", 1, samples]);
	b.output(b.mean(b.op("Abs", [b.sub(wave, target)])), "loss");
	return {
		graph: b.graph,
		batch: {
			mel: drawn([s.batch, AUDIO.nMels, s.frames], 2),
			wave: drawn([s.batch, 1, samples], 3, 0.3),
		},
	};
}

const BUILD = { acoustic, transformer, vocoder };

/** Weights that a step adapts: those of every product, and of every convolution but the transposed. */
const TARGETS = {
	acoustic: VOICE_TARGETS,
	transformer: /\.w$/,
	vocoder: /^(pre|post|res\..*)\.w$/,
};

/** A model, its batch, and what of it is trained. */
export function trainTask(
	name: ModelName,
	mode: Mode,
	sizes: Sizes = SIZES,
): TrainTask {
	const { graph, batch, terms }: Omit<TrainTask, "trainable"> =
		BUILD[name](sizes);
	const outputs = new Set(["loss", ...(terms ?? []).map((t) => t.value)]);
	const needed = new Set(graph.nodes.flatMap((n) => n.inputs));
	const fed = Object.fromEntries(
		Object.entries(batch).filter(([n]) => needed.has(n)),
	);
	const only = {
		...graph,
		inputs: graph.inputs.filter((v) => needed.has(v.name)),
		outputs: graph.outputs.filter((v) => outputs.has(v.name)),
	};
	if (mode === "full") {
		const trainable = [...only.initializers.keys()].filter(
			(n) => !/const_\d+$/.test(n),
		);
		return { graph: only, trainable, batch: fed, ...(terms && { terms }) };
	}
	const { rank, alpha } = sizes;
	const made = inject(only, { rank, alpha, targets: TARGETS[name], seed: 1 });
	const { trainable } = made;
	return { graph: made.graph, trainable, batch: fed, ...(terms && { terms }) };
}
