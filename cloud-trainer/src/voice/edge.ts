import {
	type AcousticConfig,
	CONTENT,
	decoderReach,
	frameEnd,
	frameStart,
	LATENT,
	type Net,
	POSITION,
	SPEAKER,
	sample,
	seededRandom,
	textEncoder,
	type VocoderConfig,
	vocoder,
	vocoderReach,
} from "@wattvox/models";
import type { Tensor } from "@wattvox/onnx";
import {
	emptyGraph,
	type Graph,
	GraphBuilder,
	requireTensorrt,
} from "@wattvox/onnx";
import type { VoiceConfig } from "@wattvox/synth";
import { type Base, withWeights } from "../pretrain/base.ts";

const start = (name: string): Net => ({
	b: new GraphBuilder(emptyGraph(name)),
	random: seededRandom(0),
});

/** The edge's first graph: phones [1, T], speaker [1, 192] -> content [1, T, 256], log_duration [1, T]. */
export function textGraph(c: AcousticConfig): Graph {
	const n = start("text");
	const phones = n.b.input("phones", "int64", [1, "T"]);
	const speaker = n.b.input("speaker", "float32", [1, SPEAKER]);
	const out = textEncoder(n, c, phones, speaker);
	n.b.output(out.content, "content");
	n.b.output(out.logDuration, "log_duration");
	return n.b.graph;
}

/**
 * The edge's second graph: content [1, F, 256], position [1, F, 3], speaker [1, 192], noise [1, F, 16]
 * -> wave [1, F hop]. Nothing in it reaches further than the base's halo.
 */
export function decoderGraph(c: AcousticConfig, v: VocoderConfig): Graph {
	const n = start("decoder");
	const { b } = n;
	const content = b.input("content", "float32", [1, "F", CONTENT]);
	const position = b.input("position", "float32", [1, "F", POSITION]);
	const speaker = b.input("speaker", "float32", [1, SPEAKER]);
	const noise = b.input("noise", "float32", [1, "F", LATENT]);
	const first = frameStart(n, c, content, position, speaker);
	const z = sample(n, first.prior, noise);
	const mel = frameEnd(n, c, first, z, v.audio.nMels);
	b.output(vocoder(n, v, mel), "wave");
	return b.graph;
}

/**
 * Both edge graphs with their weights, as they are exported.
 * @param make how each is made; another way only in tests
 * @throws WattvoxError E_TENSORRT_OP when a TensorRT that devices run does not take one of them
 */
export function edgeGraphs(
	base: Base,
	size: "student" | "teacher",
	acoustic: ReadonlyMap<string, Tensor>,
	vocoderWeights: ReadonlyMap<string, Tensor>,
	make = { text: textGraph, decoder: decoderGraph },
): { text: Graph; decoder: Graph } {
	const weights = new Map([...acoustic, ...vocoderWeights]);
	const text = withWeights(make.text(base[size]), weights);
	const decoder = withWeights(make.decoder(base[size], base.vocoder), weights);
	for (const graph of [text, decoder]) requireTensorrt(graph);
	return { text, decoder };
}

/**
 * What `voice.json` says of a speaker on a base, its adapter aside.
 * @param speaker embedding, [192]
 */
export function voiceConfig(
	base: Base,
	size: "student" | "teacher",
	name: string,
	speaker: ArrayLike<number>,
): VoiceConfig {
	return {
		name,
		sampleRate: base.audio.sampleRate,
		hop: base.audio.hop,
		symbols: base.symbols,
		language: base.language,
		contentDim: CONTENT,
		speakerDim: SPEAKER,
		noiseDim: LATENT,
		noiseScale: base.noiseScale,
		// The base's own halo is the student's; the teacher reaches further.
		halo: decoderReach(base[size]) + vocoderReach(base.vocoder),
		chunk: base.chunk,
		speaker: Array.from(speaker),
	};
}
