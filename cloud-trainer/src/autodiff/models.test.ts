import {
	type AcousticConfig,
	AUDIO,
	aligner,
	frameEnd,
	frameStart,
	LATENT,
	type Net,
	normal,
	posterior,
	sample,
	seededRandom,
	speakerEncoder,
	textEncoder,
	vocoder,
} from "@wattvox/models";
import {
	type Dim,
	floats,
	GraphBuilder,
	int64s,
	type Tensor,
	type Value,
} from "@wattvox/onnx";
import test from "ava";
import { checkGradients } from "./check.ts";

// Whole models of small sizes: what the rules make together, on the graphs that are trained.
const SMALL: AcousticConfig = {
	symbols: 7,
	width: 8,
	heads: 2,
	trunkLayers: 2,
	contentLayers: 1,
	cond: 6,
	decoderWidth: 8,
	decoderLayers: 2,
	posteriorWidth: 8,
	expand: 2,
};
const ENCODER = { width: 8, layers: 2, expand: 2 };
const [BATCH, TIME] = [2, 5];

/** Draws the values of inputs while a model is built. */
class Lab {
	readonly random = seededRandom(7);
	readonly b = new GraphBuilder();
	readonly net: Net = { b: this.b, random: this.random };
	readonly feeds: Record<string, Tensor> = {};

	input(name: string, shape: Dim[], dims: number[], mean = 0, std = 1): Value {
		const size = dims.reduce((a, c) => a * c, 1);
		const data = Array.from(
			{ length: size },
			() => mean + std * normal(this.random),
		);
		this.feeds[name] = floats(data, dims);
		return this.b.input(name, "float32", shape);
	}
	/** [B, T, 1]: the second row is shorter. */
	mask(): Value {
		const data = new Float32Array(BATCH * TIME).fill(1);
		data[BATCH * TIME - 1] = 0;
		this.feeds.mask = floats(data, [BATCH, TIME, 1]);
		return this.b.input("mask", "float32", ["B", "T", 1]);
	}
	speaker = (): Value =>
		this.input("speaker", ["B", 192], [BATCH, 192], 0, 1 / 14);
	mel = (): Value =>
		this.input("mel", ["B", "T", 80], [BATCH, TIME, 80], -5, 2.5);

	/** Moves every parameter at once by up to 2 % of what it is worth, several times. */
	async check(y: Value) {
		const wrt = [...this.b.graph.initializers]
			.filter(([name, t]) => t.dtype === "float32" && !/const_\d+$/.test(name))
			.map(([name]) => name);
		// Gains of 1 and offsets of 0 hide terms of their rules: shake them.
		for (const name of wrt) {
			const data = this.b.graph.initializers.get(name)?.data as Float32Array;
			for (const [i, e] of data.entries())
				data[i] = e + 0.1 * normal(this.random);
		}
		const report = await checkGradients(this.b.graph, {
			of: y.name,
			wrt,
			feeds: this.feeds,
			directions: 6,
			unit: (_, x) => (0.3 * Math.hypot(...x)) / Math.sqrt(x.length),
		});
		return { ...report, parameters: wrt.length };
	}
}

const MODELS: Record<string, (lab: Lab) => Value> = {
	"text encoder": (lab) => {
		const phones = Array.from(
			{ length: BATCH * TIME },
			(_, i) => (i * 3) % SMALL.symbols,
		);
		lab.feeds.phones = int64s(phones, [BATCH, TIME]);
		const text = textEncoder(
			lab.net,
			SMALL,
			lab.b.input("phones", "int64", ["B", "T"]),
			lab.speaker(),
			lab.mask(),
		);
		const { b } = lab;
		return b.concat(
			[text.content, text.logDuration, text.prompt, text.attention].map((v) =>
				b.reshape(v, [-1]),
			),
			0,
		);
	},
	"decoder with its posterior": (lab) => {
		const start = frameStart(
			lab.net,
			SMALL,
			lab.input("content", ["B", "T", 256], [BATCH, TIME, 256]),
			lab.input("position", ["B", "T", 3], [BATCH, TIME, 3], 0.5, 0.2),
			lab.speaker(),
		);
		const seen = posterior(lab.net, SMALL, start, lab.mel());
		const noise = lab.input("noise", ["B", "T", LATENT], [BATCH, TIME, LATENT]);
		const mel = frameEnd(
			lab.net,
			SMALL,
			start,
			sample(lab.net, seen, noise),
			80,
		);
		const { b } = lab;
		// With the Kullback-Leibler divergence's parts: all that training sees.
		return b.concat(
			[mel, seen.mean, seen.logStd, start.prior.mean, start.prior.logStd].map(
				(v) => b.reshape(v, [-1]),
			),
			0,
		);
	},
	vocoder: (lab) =>
		vocoder(
			lab.net,
			{ audio: { ...AUDIO, nFft: 32, hop: 8 }, ...ENCODER },
			lab.mel(),
		),
	"speaker encoder": (lab) => speakerEncoder(lab.net, ENCODER, lab.mel()),
	aligner: (lab) =>
		aligner(lab.net, ENCODER, lab.mel(), lab.mask(), SMALL.symbols),
};

for (const [name, build] of Object.entries(MODELS))
	test(`${name}: gradients of all parameters are what finite differences give`, async (t) => {
		const lab = new Lab();
		const report = await lab.check(build(lab));
		t.log(
			`${report.parameters} parameters, worst ${report.worst.error.toExponential(1)}`,
		);
		t.deepEqual(report.failures, []);
	});
