import {
	type Net,
	seededRandom,
	type VocoderConfig,
	vocoder,
} from "@wattvox/models";
import {
	emptyGraph,
	floats,
	type Graph,
	GraphBuilder,
	type Value,
} from "@wattvox/onnx";
import { melBasis } from "@wattvox/speech";
import {
	logFloor,
	magnitude,
	meanGap,
	spectralDistance,
} from "../losses/spectral.ts";
import { LOSS } from "./acoustic.ts";

/**
 * Trains the vocoder on crops: log-magnitude and magnitude L1 at three resolutions plus log-mel L1.
 * @param frames frames per crop; inputs are mel [B, frames, 80] and wave [B, frames hop]
 * @param edge frames at each end that count for nothing, since their neighbours are missing
 */
export function vocoderLoss(
	c: VocoderConfig,
	frames: number,
	edge: number,
	seed: number,
): Graph {
	const n: Net = {
		b: new GraphBuilder(emptyGraph("vocoder")),
		random: seededRandom(seed),
	};
	const { b } = n;
	const { hop, nFft, nMels } = c.audio;
	const mel = b.input("mel", "float32", ["B", frames, nMels]);
	const target = b.input("wave", "float32", ["B", frames * hop]);
	const made = vocoder(n, c, mel);
	const samples = (frames - 2 * edge) * hop;
	const inner = (v: Value) => b.slice(v, 1, edge * hop, edge * hop + samples);
	const [a, d] = [inner(made), inner(target)];
	const spectral = spectralDistance(b, a, d, samples);
	const basis = b.constant(floats(melBasis(c.audio), [nFft / 2 + 1, nMels]));
	const mels = [a, d].map((v) =>
		logFloor(b, b.matmul(magnitude(b, v, samples, nFft, hop), basis)),
	) as [Value, Value];
	const melLoss = meanGap(b, mels[0], mels[1]);
	b.output(melLoss, "loss.mel");
	b.output(spectral, "loss.spectral");
	b.output(b.add(b.affine(melLoss, 2), spectral), LOSS);
	return b.graph;
}

/** Alone: mel [B, F, 80] -> wave [B, F hop]. */
export function vocoderGraph(c: VocoderConfig, seed: number): Graph {
	const n: Net = {
		b: new GraphBuilder(emptyGraph("vocoder")),
		random: seededRandom(seed),
	};
	const mel = n.b.input("mel", "float32", ["B", "F", c.audio.nMels]);
	n.b.output(vocoder(n, c, mel), "wave");
	return n.b.graph;
}
