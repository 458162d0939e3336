import type { Utterance } from "./utterance.ts";

const MIN_HZ = 55;
const MAX_HZ = 500;
/** De Cheveigné & Kawahara's own choice is 0.1 to 0.15. */
const THRESHOLD = 0.15;

/**
 * Pitch of the voiced frames (one every 10 ms) by YIN (de Cheveigné & Kawahara
 * 2002): d'(tau) = d(tau) tau / sum_{j<=tau} d(j), d the squared difference at
 * that lag; the first dip below the threshold, refined by a parabola. Frames
 * 30 dB below the loudest are left out.
 *
 * @param samples mono
 * @returns Hz of each voiced frame
 */
export function voicedPitch(
	samples: Float32Array,
	sampleRate: number,
): Float32Array {
	const maxLag = Math.ceil(sampleRate / MIN_HZ);
	const minLag = Math.floor(sampleRate / MAX_HZ);
	const window = maxLag;
	const hop = Math.round(sampleRate / 100);
	const starts: { at: number; energy: number }[] = [];
	for (let at = 0; at + window + maxLag + 1 < samples.length; at += hop) {
		let energy = 0;
		for (let i = 0; i < window; i++) energy += (samples[at + i] ?? 0) ** 2;
		starts.push({ at, energy });
	}
	const quiet = 1e-3 * starts.reduce((m, s) => Math.max(m, s.energy), 0);
	const out: number[] = [];
	const d = new Float64Array(maxLag + 2);
	for (const { at, energy } of starts) {
		if (energy <= quiet) continue;
		let sum = 0;
		for (let lag = 1; lag <= maxLag + 1; lag++) {
			let diff = 0;
			for (let i = at; i < at + window; i++)
				diff += ((samples[i] ?? 0) - (samples[i + lag] ?? 0)) ** 2;
			sum += diff;
			d[lag] = sum > 0 ? (diff * lag) / sum : 1;
		}
		const lag = firstDip(d, minLag, maxLag);
		if (lag !== undefined) out.push(sampleRate / lag);
	}
	return Float32Array.from(out);
}

function firstDip(
	d: Float64Array,
	minLag: number,
	maxLag: number,
): number | undefined {
	for (let lag = minLag; lag <= maxLag; lag++) {
		if ((d[lag] ?? 1) >= THRESHOLD) continue;
		while (lag < maxLag && (d[lag + 1] ?? 1) < (d[lag] ?? 1)) lag++;
		const [a, b, c] = [d[lag - 1] ?? 1, d[lag] ?? 1, d[lag + 1] ?? 1];
		const bend = a - 2 * b + c;
		return bend > 0 ? lag + (a - c) / (2 * bend) : lag;
	}
	return undefined;
}

/** Geometric mean over the voiced frames of all clips, Hz; NaN where nothing is voiced. */
export function meanPitch(clips: readonly Utterance[]): number {
	let sum = 0;
	let n = 0;
	for (const c of clips)
		for (const f of c.f0) {
			sum += Math.log(f);
			n++;
		}
	return n > 0 ? Math.exp(sum / n) : Number.NaN;
}
