import { floats, type Value } from "@wattvox/onnx";
import { hann } from "@wattvox/speech";
import {
	dilationOf,
	MEL_MEAN,
	MEL_SCALE,
	type VocoderConfig,
} from "./config.ts";
import { linear, type Net, stack } from "./nn.ts";

/**
 * Inverse real DFT with the synthesis window in it: [2 bins, nFft], the first half for real parts, the
 * second for imaginary ones. Overlapping frames add up to the wave once divided by the window's squared
 * sum, which for Hann with hop = nFft/4 is 1.5 everywhere.
 */
export function inverseBasis(nFft: number, hop: number): Float32Array {
	const bins = nFft / 2 + 1;
	const window = hann(nFft);
	let norm = 0;
	for (let i = 0; i < nFft; i += hop) norm += (window[i] ?? 0) ** 2;
	const out = new Float32Array(2 * bins * nFft);
	for (let k = 0; k < bins; k++) {
		const weight = (k === 0 || k === nFft / 2 ? 1 : 2) / nFft / norm;
		for (let t = 0; t < nFft; t++) {
			// k t modulo nFft keeps the angle small, so that float64 cosines stay exact.
			const angle = (2 * Math.PI * ((k * t) % nFft)) / nFft;
			const w = weight * (window[t] ?? 0);
			out[k * nFft + t] = w * Math.cos(angle);
			out[(bins + k) * nFft + t] = -w * Math.sin(angle);
		}
	}
	return out;
}

/** Adds frames [B, F, nFft] up at distance `hop`; the wave [B, F hop] starts at the first frame's centre. */
export function overlapAdd(n: Net, frames: Value, hop: number): Value {
	const { b } = n;
	const size = frames.shape?.at(-1) as number;
	const parts = size / hop;
	let sum: Value | undefined;
	for (let k = 0; k < parts; k++) {
		const piece = b.pad(
			b.slice(frames, 2, k * hop, (k + 1) * hop),
			1,
			k,
			parts - 1 - k,
		);
		sum = sum ? b.add(sum, piece) : piece;
	}
	const lead = parts / 2;
	const inner = b.slice(
		sum as Value,
		1,
		lead,
		-(parts - 1 - lead) || undefined,
	);
	return b.reshape(inner, [0, -1]);
}

/**
 * Vocoder: log-mel [B, F, 80] -> wave [B, F hop]. Blocks over frames, then magnitude and phase of each
 * frame's spectrum and an inverse STFT as one product (the idea of Vocos, arXiv 2306.00814).
 */
export function vocoder(n: Net, c: VocoderConfig, mel: Value): Value {
	const { b } = n;
	const bins = c.audio.nFft / 2 + 1;
	return b.scope("vocoder", () => {
		const seen = b.affine(mel, 1 / MEL_SCALE, -MEL_MEAN / MEL_SCALE);
		const h = stack(n, seen, c);
		const magnitude = b.op("Exp", [
			b.op("Min", [linear(n, "magnitude", h, bins, 0.5), b.scalar(6)]),
		]);
		const phase = linear(n, "phase", h, bins, 1.5);
		const spectrum = b.concat(
			[
				b.mul(magnitude, b.op("Cos", [phase])),
				b.mul(magnitude, b.op("Sin", [phase])),
			],
			2,
		);
		const basis = b.constant(
			floats(inverseBasis(c.audio.nFft, c.audio.hop), [2 * bins, c.audio.nFft]),
		);
		return overlapAdd(n, b.matmul(spectrum, basis), c.audio.hop);
	});
}

/** Frames on each side that one frame of the wave depends on. */
export function vocoderReach(c: VocoderConfig): number {
	let reach = 2 + Math.ceil(c.audio.nFft / c.audio.hop / 2);
	for (let i = 0; i < c.layers; i++) reach += dilationOf(i);
	return reach;
}
