// A voice small enough to be made in a test: the contract's graphs with random weights.
import type { BundleMeta, BundleSource } from "@wattvox/bundle";
import {
	encodeModel,
	encodeSafetensors,
	floats,
	GraphBuilder,
	loraKey,
	type Tensor,
} from "@wattvox/onnx";
import type { Frontend } from "./frontend.ts";
import type { Golden } from "./golden.ts";
import { noiseRow } from "./noise.ts";
import type { VoiceConfig } from "./voice-config.ts";
import type { VoiceFiles } from "./voice-files.ts";

/** flite's English phones behind the padding symbol. */
export const TINY_SYMBOLS: readonly string[] =
	"_ pau aa ae ah ao aw ax ay b ch d dh eh er ey f g hh ih iy jh k l m n ng ow oy p r s sh t th uh uw v w y z zh".split(
		" ",
	);

const CONTENT = 256;
const SPEAKER = 192;
const NOISE = 4;
const HIDDEN = 16;
const HOP = 200;

function weights(seed: number) {
	let row = 0;
	return (dims: number[], scale: number): Tensor => {
		const data = new Float32Array(dims.reduce((a, b) => a * b, 1));
		noiseRow(seed, row++, scale, data);
		return floats(data, dims);
	};
}

function textGraph(seed: number): Uint8Array {
	const w = weights(seed);
	const g = new GraphBuilder();
	const phones = g.input("phones", "int64", [1, "T"]);
	const speaker = g.input("speaker", "float32", [1, SPEAKER]);
	const table = g.weight("text.embed", w([TINY_SYMBOLS.length, CONTENT], 1));
	const hint = g.matmul(
		speaker,
		g.weight("text.speaker.w", w([SPEAKER, CONTENT], 0.05)),
	);
	const content = g.add(
		g.op("Gather", [table, phones]),
		g.reshape(hint, [1, 1, CONTENT]),
	);
	g.output(content, "content");
	// ln(frames + 1) around 2: 3 to 12 frames a phone
	const raw = g.matmul(
		content,
		g.weight("text.duration.w", w([CONTENT, 1], 0.05)),
	);
	const log = g.affine(g.op("Tanh", [raw]), 0.5, 2);
	g.output(g.reshape(log, [1, -1]), "log_duration");
	return encodeModel(g.graph);
}

/** Two convolutions of 5 frames each: a receptive field of 4 frames to either side. */
function decoderGraph(seed: number): Uint8Array {
	const w = weights(seed + 1);
	const g = new GraphBuilder();
	const content = g.input("content", "float32", [1, "F", CONTENT]);
	const position = g.input("position", "float32", [1, "F", 3]);
	const noise = g.input("noise", "float32", [1, "F", NOISE]);
	const speaker = g.input("speaker", "float32", [1, SPEAKER]);
	const hint = g.reshape(
		g.matmul(
			speaker,
			g.weight("decoder.speaker.w", w([SPEAKER, HIDDEN], 0.05)),
		),
		[1, 1, HIDDEN],
	);
	const mixed = g.matmul(
		g.concat([content, position, noise], 2),
		g.weight("decoder.up.w", w([CONTENT + 3 + NOISE, HIDDEN], 0.08)),
	);
	let x = g.transpose(g.op("Tanh", [g.add(mixed, hint)]), [0, 2, 1]);
	for (const i of [0, 1]) {
		const kernel = g.weight(`decoder.${i}.conv`, w([HIDDEN, HIDDEN, 5], 0.15));
		x = g.op("Tanh", [
			g.op("Conv", [x, kernel], { pads: [2, 2], kernel_shape: [5] }),
		]);
	}
	const wave = g.matmul(
		g.transpose(x, [0, 2, 1]),
		g.weight("vocoder.out.w", w([HIDDEN, HOP], 0.3)),
	);
	g.output(g.reshape(g.affine(g.op("Tanh", [wave]), 0.5), [1, -1]), "wave");
	return encodeModel(g.graph);
}

export interface TinyVoiceOptions {
	name?: string;
	/** Weights of the base; equal seeds give equal graphs. */
	seed?: number;
	/** Gives the voice an adapter with these weights. */
	adapterSeed?: number;
	/** Frames per decoder run. */
	chunk?: number;
}

/** A random voice with graphs of the contract's shapes; it makes noise, in both senses. */
export function tinyVoice(options: TinyVoiceOptions = {}): VoiceFiles {
	const { name = "tiny", seed = 1, adapterSeed, chunk = 16 } = options;
	const speaker = new Float32Array(SPEAKER);
	noiseRow(seed + 7, 0, 1, speaker);
	const config: VoiceConfig = {
		name,
		sampleRate: 16000,
		hop: HOP,
		symbols: [...TINY_SYMBOLS],
		language: "en",
		contentDim: CONTENT,
		speakerDim: SPEAKER,
		noiseDim: NOISE,
		noiseScale: 0.6,
		halo: 4,
		chunk,
		speaker: [...speaker],
	};
	const files: VoiceFiles = {
		config,
		text: textGraph(seed),
		decoder: decoderGraph(seed),
	};
	if (adapterSeed === undefined) return files;
	config.adapter = {
		file: "adapter_model.safetensors",
		r: 2,
		alpha: 2,
		scale: 1,
	};
	return { ...files, adapter: tinyAdapter(adapterSeed) };
}

/** A rank-2 adapter on one weight of each tiny graph. */
function tinyAdapter(seed: number): Uint8Array {
	const w = weights(seed);
	const tensors = new Map<string, Tensor>();
	for (const [name, inputs, outputs] of [
		["text.speaker.w", SPEAKER, CONTENT],
		["vocoder.out.w", HIDDEN, HOP],
	] as const) {
		tensors.set(loraKey(name, "A"), w([2, inputs], 0.2));
		tensors.set(loraKey(name, "B"), w([outputs, 2], 0.2));
	}
	return encodeSafetensors(tensors);
}

/** Letters to phones, no dictionary: enough to say something in a test. */
export const spellingFrontend: Frontend = function* (text) {
	const of = new Map(
		[..."abcdefghijklmnopqrstuvwxyz"].map((c, i) => [
			c,
			"ae b k d eh f g hh ih jh k l m n aa p k r s t ah v w z y z".split(" ")[
				i
			],
		]),
	);
	for (const sentence of text.split(/(?<=[.!?])\s+/)) {
		const words = sentence.toLowerCase().replace(/[^a-z]/g, "");
		if (!words) continue;
		const phones = [...words].map((c) => of.get(c) ?? "pau");
		yield { text: sentence, phones: ["pau", ...phones, "pau"], skipped: [] };
	}
};

/** What turns a tiny voice into a bundle with `writeBundle`. */
export const tinyBundle: {
	sources(files: VoiceFiles, golden?: Golden): BundleSource[];
	meta(voice: string): BundleMeta;
} = {
	sources(files, golden) {
		const json = (value: object) => Buffer.from(JSON.stringify(value));
		const sources: BundleSource[] = [
			{ role: "voice", name: "voice.json", bytes: json(files.config) },
			{ role: "text", name: "text.onnx", bytes: files.text },
			{ role: "decoder", name: "decoder.onnx", bytes: files.decoder },
		];
		if (files.adapter && files.config.adapter)
			sources.push({
				role: "adapter",
				name: files.config.adapter.file,
				bytes: files.adapter,
			});
		if (golden)
			sources.push({
				role: "golden",
				name: "golden.json",
				bytes: json(golden),
			});
		return sources;
	},
	meta: (voice) => ({
		voice,
		language: "en",
		sampleRate: 16000,
		base: { name: "tiny", digest: null },
		energy: { trainWh: null, gCO2e: null, measured: false },
		consent: { statement: "A voice that nobody has." },
		created: "2026-01-01T00:00:00Z",
		expires: "2126-01-01T00:00:00Z",
	}),
};
