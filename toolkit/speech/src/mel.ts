import { dft } from "./fft.ts";

/** What a mel spectrum is computed with; part of every model's config. */
export interface MelConfig {
	/** Samples per second. */
	sampleRate: number;
	/** Length of the Fourier transform and of its window, in samples. */
	nFft: number;
	/** Samples from one frame to the next. */
	hop: number;
	/** Number of mel bands. */
	nMels: number;
	/** Lower edge of the first band, Hz. */
	fmin: number;
	/** Upper edge of the last band, Hz. */
	fmax: number;
}

/** The features of the shipped English base: 80 bands, 80 frames a second at 16 kHz. */
export const BASE_MEL: Readonly<MelConfig> = {
	sampleRate: 16000,
	nFft: 800,
	hop: 200,
	nMels: 80,
	fmin: 0,
	fmax: 8000,
};

/** Magnitudes below this are silence: features are ln(max(mel, LOG_FLOOR)). */
export const LOG_FLOOR = 1e-5;

/** The least value a log-mel feature takes. */
export const LOG_MEL_MIN: number = Math.log(LOG_FLOOR);

// Slaney's auditory toolbox scale: linear below 1 kHz (3 mels per 200 Hz), logarithmic above.
const LINEAR_STEP = 200 / 3;
const BREAK_HZ = 1000;
const BREAK_MEL = BREAK_HZ / LINEAR_STEP;
const LOG_STEP = Math.log(6.4) / 27;

/** Hertz to mel on Slaney's scale. */
export function hzToMel(hz: number): number {
	return hz < BREAK_HZ
		? hz / LINEAR_STEP
		: BREAK_MEL + Math.log(hz / BREAK_HZ) / LOG_STEP;
}

/** Mel on Slaney's scale to hertz. */
export function melToHz(mel: number): number {
	return mel < BREAK_MEL
		? mel * LINEAR_STEP
		: BREAK_HZ * Math.exp((mel - BREAK_MEL) * LOG_STEP);
}

/** Edges and centres of the bands in hertz: `nMels + 2` rising values, band m is [m, m + 1, m + 2]. */
export function melPoints(c: MelConfig): Float64Array {
	const low = hzToMel(c.fmin);
	const high = hzToMel(c.fmax);
	const points = new Float64Array(c.nMels + 2);
	for (let i = 0; i < points.length; i++)
		points[i] = melToHz(low + ((high - low) * i) / (c.nMels + 1));
	return points;
}

/** Number of frames of a signal: floor(samples / hop). */
export function frameCount(samples: number, c: Pick<MelConfig, "hop">): number {
	return Math.floor(samples / c.hop);
}

/** The periodic Hann window, w[n] = 0.5 - 0.5 cos(2 pi n / size). */
export function hann(size: number): Float64Array {
	const w = new Float64Array(size);
	for (let n = 0; n < size; n++)
		w[n] = 0.5 - 0.5 * Math.cos((2 * Math.PI * n) / size);
	return w;
}

/**
 * Triangular mel filters, area-normalised (Slaney: each scaled by 2 / (upper - lower edge in Hz)).
 * @returns float32, row-major [nFft / 2 + 1, nMels]: `magnitude @ basis` is the mel spectrum.
 */
export function melBasis(c: MelConfig): Float32Array {
	const bins = Math.floor(c.nFft / 2) + 1;
	const points = melPoints(c);
	const basis = new Float32Array(bins * c.nMels);
	for (let m = 0; m < c.nMels; m++) {
		const low = points[m] as number;
		const mid = points[m + 1] as number;
		const high = points[m + 2] as number;
		const scale = 2 / (high - low);
		for (let k = 0; k < bins; k++) {
			const hz = (k * c.sampleRate) / c.nFft;
			const weight = Math.min(
				(hz - low) / (mid - low),
				(high - hz) / (high - mid),
			);
			if (weight > 0) basis[k * c.nMels + m] = weight * scale;
		}
	}
	return basis;
}

/** Index into a signal of `length` samples reflected at both ends (the end samples not repeated). */
function reflect(index: number, length: number): number {
	if (length === 1) return 0;
	const period = 2 * (length - 1);
	const i = ((index % period) + period) % period;
	return i < length ? i : period - i;
}

/**
 * Magnitudes of the centred short-time Fourier transform (reflect padding of nFft / 2, periodic Hann).
 * @param samples mono, -1..1; frame f is centred on sample `f * hop`.
 * @returns float32, row-major [frames, nFft / 2 + 1], frames = floor(samples / hop).
 */
export function stft(samples: Float32Array, c: MelConfig): Float32Array {
	const bins = Math.floor(c.nFft / 2) + 1;
	const frames = frameCount(samples.length, c);
	const out = new Float32Array(frames * bins);
	eachSpectrum(samples, c, (frame, magnitude) =>
		out.set(magnitude, frame * bins),
	);
	return out;
}

/**
 * Two real frames share one complex transform: with z = a + i b, the spectrum of a is
 * (Z[k] + conj Z[N-k]) / 2 and that of b is (Z[k] - conj Z[N-k]) / 2i.
 */
function eachSpectrum(
	samples: Float32Array,
	c: MelConfig,
	take: (frame: number, magnitude: Float64Array) => void,
): void {
	const { nFft, hop } = c;
	const frames = frameCount(samples.length, c);
	const bins = Math.floor(nFft / 2) + 1;
	const window = hann(nFft);
	const plan = dft(nFft);
	const data = new Float64Array(2 * nFft);
	const first = new Float64Array(bins);
	const second = new Float64Array(bins);
	const load = (frame: number, part: 0 | 1) => {
		const start = frame * hop - Math.floor(nFft / 2);
		const inside = start >= 0 && start + nFft <= samples.length;
		for (let n = 0; n < nFft; n++) {
			const i = inside ? start + n : reflect(start + n, samples.length);
			data[2 * n + part] = (samples[i] as number) * (window[n] as number);
		}
	};
	for (let frame = 0; frame < frames; frame += 2) {
		const pair = frame + 1 < frames;
		load(frame, 0);
		if (pair) load(frame + 1, 1);
		else for (let n = 0; n < nFft; n++) data[2 * n + 1] = 0;
		plan.forward(data);
		for (let k = 0; k < bins; k++) {
			const j = k === 0 ? 0 : nFft - k;
			const kr = data[2 * k] as number;
			const ki = data[2 * k + 1] as number;
			const jr = data[2 * j] as number;
			const ji = data[2 * j + 1] as number;
			const ar = kr + jr;
			const ai = ki - ji;
			const br = ki + ji;
			const bi = jr - kr;
			first[k] = 0.5 * Math.sqrt(ar * ar + ai * ai);
			second[k] = 0.5 * Math.sqrt(br * br + bi * bi);
		}
		take(frame, first);
		if (pair) take(frame + 1, second);
	}
}

interface SparseBasis {
	/** First bin of each band, and one past its last weight in `weights`. */
	start: Int32Array;
	end: Int32Array;
	weights: Float64Array;
}

const sparse = new Map<string, SparseBasis>();

/** The filters without their zeros: 80 dense rows would cost more than the transform itself. */
function sparseBasis(c: MelConfig): SparseBasis {
	const key = [c.sampleRate, c.nFft, c.nMels, c.fmin, c.fmax].join();
	const known = sparse.get(key);
	if (known) return known;
	const dense = melBasis(c);
	const bins = Math.floor(c.nFft / 2) + 1;
	const start = new Int32Array(c.nMels);
	const end = new Int32Array(c.nMels);
	const weights: number[] = [];
	for (let m = 0; m < c.nMels; m++) {
		let first = -1;
		for (let k = 0; k < bins; k++) {
			const w = dense[k * c.nMels + m] as number;
			if (w === 0) continue;
			if (first < 0) first = k;
			weights.push(w);
		}
		start[m] = Math.max(first, 0);
		end[m] = weights.length;
	}
	const made = { start, end, weights: Float64Array.from(weights) };
	sparse.set(key, made);
	return made;
}

/**
 * Log-mel spectrum: ln(max(|STFT| @ melBasis, 1e-5)).
 * @param samples mono, -1..1, at `c.sampleRate`.
 * @returns float32, row-major [frames, nMels], frames = floor(samples / hop).
 */
export function logMel(samples: Float32Array, c: MelConfig): Float32Array {
	const { start, end, weights } = sparseBasis(c);
	const out = new Float32Array(frameCount(samples.length, c) * c.nMels);
	eachSpectrum(samples, c, (frame, magnitude) => {
		let w = 0;
		for (let m = 0; m < c.nMels; m++) {
			let sum = 0;
			let k = start[m] as number;
			for (const stop = end[m] as number; w < stop; w++, k++)
				sum += (weights[w] as number) * (magnitude[k] as number);
			out[frame * c.nMels + m] = Math.log(sum > LOG_FLOOR ? sum : LOG_FLOOR);
		}
	});
	return out;
}
