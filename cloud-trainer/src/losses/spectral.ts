import { floats, type GraphBuilder, type Value } from "@wattvox/onnx";
import { hann } from "@wattvox/speech";

/** STFT sizes that the spectral loss compares by default; the hop is a quarter. */
export const RESOLUTIONS = [256, 512, 1024];

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

/**
 * |STFT| of waves [B, samples] by one product with a fixed basis: [B, frames, bins]. No padding. ONNX's
 * own STFT operator is slow in ONNX Runtime and unknown to TensorRT.
 */
export function magnitude(
	b: GraphBuilder,
	wave: Value,
	samples: number,
	nFft: number,
	hop: number,
): Value {
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

/** ln(max(x, 1e-4)): magnitudes as log spectra compare them. */
export const logFloor = (b: GraphBuilder, v: Value): Value =>
	b.op("Log", [b.op("Max", [v, b.scalar(1e-4)])]);

/** mean |a - d|. A scalar. */
export const meanGap = (b: GraphBuilder, a: Value, d: Value): Value =>
	b.mean(b.op("Abs", [b.sub(a, d)]));

/**
 * Multi-resolution spectral distance of waves [B, samples] (arXiv 1910.11480 with L1 throughout): at
 * each STFT size the L1 of log magnitudes plus half the L1 of magnitudes relative to the target's
 * level, summed over the sizes. A scalar.
 */
export function spectralDistance(
	b: GraphBuilder,
	made: Value,
	target: Value,
	samples: number,
	sizes: readonly number[] = RESOLUTIONS,
): Value {
	let total: Value | undefined;
	for (const size of sizes) {
		const [ma, md] = [made, target].map((v) =>
			magnitude(b, v, samples, size, size / 4),
		) as [Value, Value];
		// Convergence: L1 of magnitudes relative to the target's level.
		const level = b.affine(b.mean(md), 1, 1e-3);
		const term = b.add(
			meanGap(b, logFloor(b, ma), logFloor(b, md)),
			b.affine(b.div(meanGap(b, ma, md), level), 0.5),
		);
		total = total ? b.add(total, term) : term;
	}
	return total ?? b.scalar(0);
}
