import { dft } from "@wattvox/speech";

const SIZE = 1024;
const FRAME = 512;
const HOP = 128;
// Quefrencies below 1.9 ms at 16 kHz: vocal tract, not pitch (up to about 300 Hz).
const LIFTER = 30;
/** No bin is raised or lowered by more than this, in nepers (20 dB). */
const LIMIT = 2.3;

/**
 * Moves the formants by `factor` and leaves pitch and time alone: in each frame of a short-time
 * spectrum the cepstrally smoothed envelope E(f) is replaced by E(f / factor), the phase is kept,
 * and the frames are overlap-added with the squared window divided out (Griffin & Lim 1984, eq. 6).
 */
export function warpFormants(
	samples: Float32Array,
	factor: number,
): Float32Array {
	if (factor === 1) return samples.slice();
	const window = new Float64Array(FRAME);
	for (let i = 0; i < FRAME; i++) {
		window[i] = 0.5 - 0.5 * Math.cos((2 * Math.PI * (i + 0.5)) / FRAME);
	}
	const total = new Float64Array(samples.length);
	const weight = new Float64Array(samples.length);
	const plan = dft(SIZE);
	const spectrum = new Float64Array(2 * SIZE);
	const cepstrum = new Float64Array(2 * SIZE);
	const half = SIZE / 2;
	for (let start = -FRAME + HOP; start < samples.length; start += HOP) {
		spectrum.fill(0);
		for (let i = 0; i < FRAME; i++) {
			spectrum[2 * i] = (samples[start + i] ?? 0) * (window[i] as number);
		}
		plan.forward(spectrum);
		envelope(spectrum, cepstrum, plan.forward.bind(plan));
		for (let k = 0; k <= half; k++) {
			const at = Math.min(half, k / factor);
			const low = Math.floor(at);
			const a = cepstrum[2 * low] as number;
			const b = cepstrum[2 * Math.min(half, low + 1)] as number;
			const move = a + (b - a) * (at - low) - (cepstrum[2 * k] as number);
			const gain = Math.exp(Math.max(-LIMIT, Math.min(LIMIT, move)));
			for (const bin of k === 0 || k === half ? [k] : [k, SIZE - k]) {
				spectrum[2 * bin] = (spectrum[2 * bin] as number) * gain;
				spectrum[2 * bin + 1] = (spectrum[2 * bin + 1] as number) * gain;
			}
		}
		inverse(spectrum, plan.forward.bind(plan));
		for (let i = 0; i < FRAME; i++) {
			const at = start + i;
			if (at < 0 || at >= samples.length) continue;
			const w = window[i] as number;
			total[at] = (total[at] as number) + w * (spectrum[2 * i] as number);
			weight[at] = (weight[at] as number) + w * w;
		}
	}
	return Float32Array.from(
		total,
		(t, i) => t / Math.max(weight[i] as number, 1e-6),
	);
}

/** Smoothed log magnitude into the real parts of `out`, by keeping the first quefrencies. */
function envelope(
	spectrum: Float64Array,
	out: Float64Array,
	forward: (data: Float64Array) => void,
): void {
	for (let k = 0; k < SIZE; k++) {
		const power =
			(spectrum[2 * k] as number) ** 2 + (spectrum[2 * k + 1] as number) ** 2;
		out[2 * k] = 0.5 * Math.log(power + 1e-12);
		out[2 * k + 1] = 0;
	}
	forward(out);
	// The log spectrum is real and even, so its transform is too, and a second forward
	// transform undoes the first up to the factor SIZE.
	for (let n = 0; n < SIZE; n++) {
		const quefrency = Math.min(n, SIZE - n);
		const keep =
			quefrency <= LIFTER
				? (0.5 + 0.5 * Math.cos((Math.PI * quefrency) / (LIFTER + 1))) ** 0.5 /
					SIZE
				: 0;
		out[2 * n] = (out[2 * n] as number) * keep;
		out[2 * n + 1] = 0;
	}
	forward(out);
}

/** In place: conj(DFT(conj(x))) / size. */
function inverse(
	data: Float64Array,
	forward: (data: Float64Array) => void,
): void {
	for (let i = 1; i < data.length; i += 2) data[i] = -(data[i] as number);
	forward(data);
	for (let i = 0; i < data.length; i += 2) {
		data[i] = (data[i] as number) / SIZE;
		data[i + 1] = -(data[i + 1] as number) / SIZE;
	}
}
