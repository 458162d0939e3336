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
import { hann, melBasis } from "@wattvox/speech";
import { LOSS } from "./acoustic.ts";

/** STFT sizes that the spectral loss compares; hop is a quarter. */
const RESOLUTIONS = [256, 512, 1024];

/** Windowed DFT as a matrix [nFft, 2 bins]: real parts, then imaginary ones. */
function forwardBasis(nFft: number): Float32Array {
	const bins = nFft / 2 + 1;
	const window = hann(nFft);
	const out = new Float32Array(nFft * 2 * bins);
	for (let t = 0; t < nFft; t++)
		for (let k = 0; k < bins; k++) {
			const angle = (2 * Math.PI * ((k * t) % nFft)) / nFft;
			out[t * 2 * bins + k] = (window[t] ?? 0) * Math.cos(angle);
			out[t * 2 * bins + bins + k] = -(window[t] ?? 0) * Math.sin(angle);
		}
	return out;
}

/** |STFT| of waves [B, samples] by one product with a fixed basis: [B, frames, bins]. No padding. */
function magnitude(
	n: Net,
	wave: Value,
	samples: number,
	nFft: number,
	hop: number,
): Value {
	const { b } = n;
	const bins = nFft / 2 + 1;
	const whole = Math.floor(samples / hop);
	const rows = b.reshape(b.slice(wave, 1, 0, whole * hop), [0, whole, hop]);
	const parts = nFft / hop;
	const taps = Array.from({ length: parts }, (_, i) =>
		b.slice(rows, 1, i, whole - parts + 1 + i),
	);
	const spectrum = b.matmul(
		b.concat(taps, 2),
		b.constant(floats(forwardBasis(nFft), [nFft, 2 * bins])),
	);
	const [re, im] = [
		b.slice(spectrum, 2, 0, bins),
		b.slice(spectrum, 2, bins, 2 * bins),
	];
	return b.op("Sqrt", [b.affine(b.add(b.mul(re, re), b.mul(im, im)), 1, 1e-7)]);
}

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
	const log = (v: Value) => b.op("Log", [b.op("Max", [v, b.scalar(1e-4)])]);
	const gap = (x: Value, y: Value) => b.mean(b.op("Abs", [b.sub(x, y)]));

	let spectral: Value | undefined;
	for (const size of RESOLUTIONS) {
		const [ma, md] = [a, d].map((v) =>
			magnitude(n, v, samples, size, size / 4),
		) as [Value, Value];
		// Convergence: L1 of magnitudes relative to the target's level.
		const level = b.affine(b.mean(md), 1, 1e-3);
		const term = b.add(
			gap(log(ma), log(md)),
			b.affine(b.div(gap(ma, md), level), 0.5),
		);
		spectral = spectral ? b.add(spectral, term) : term;
	}
	const basis = b.constant(floats(melBasis(c.audio), [nFft / 2 + 1, nMels]));
	const mels = [a, d].map((v) =>
		log(b.matmul(magnitude(n, v, samples, nFft, hop), basis)),
	) as [Value, Value];
	const melLoss = gap(mels[0], mels[1]);
	b.output(melLoss, "loss.mel");
	b.output(spectral as Value, "loss.spectral");
	b.output(b.add(b.affine(melLoss, 2), spectral as Value), LOSS);
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
