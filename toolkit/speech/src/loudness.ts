import { WattvoxError } from "@wattvox/core";

/** Loudness that clips and corpora are brought to, LUFS (EBU R 128's programme level). */
export const TARGET_LUFS = -23;

/** A second-order section, normalised to a0 = 1: b0, b1, b2, a1, a2. */
type Biquad = readonly [number, number, number, number, number];

/**
 * The two filters of K-weighting (ITU-R BS.1770-4) at any sample rate: a shelf of + 4 dB above 1.7 kHz for the
 * head, then a high pass at 38 Hz. The standard tabulates 48 kHz only; these are its analogue prototypes
 * under the bilinear transform (De Man 2014), which give its table to 1e-9 there.
 */
function kWeighting(sampleRate: number): [Biquad, Biquad] {
	const shelf = (): Biquad => {
		const K = Math.tan((Math.PI * 1681.974450955533) / sampleRate);
		const Q = 0.7071752369554196;
		const Vh = 10 ** (3.999843853973347 / 20);
		const Vb = Vh ** 0.4996667741545416;
		const a0 = 1 + K / Q + K * K;
		return [
			(Vh + (Vb * K) / Q + K * K) / a0,
			(2 * (K * K - Vh)) / a0,
			(Vh - (Vb * K) / Q + K * K) / a0,
			(2 * (K * K - 1)) / a0,
			(1 - K / Q + K * K) / a0,
		];
	};
	const highPass = (): Biquad => {
		const K = Math.tan((Math.PI * 38.13547087602444) / sampleRate);
		const Q = 0.5003270373238773;
		const a0 = 1 + K / Q + K * K;
		return [1, -2, 1, (2 * (K * K - 1)) / a0, (1 - K / Q + K * K) / a0];
	};
	return [shelf(), highPass()];
}

function filter(x: Float64Array, [b0, b1, b2, a1, a2]: Biquad): void {
	let z1 = 0;
	let z2 = 0;
	for (let i = 0; i < x.length; i++) {
		const v = x[i] as number;
		const y = b0 * v + z1;
		z1 = b1 * v - a1 * y + z2;
		z2 = b2 * v - a2 * y;
		x[i] = y;
	}
}

/**
 * Integrated loudness of a mono sound, ITU-R BS.1770-4: mean square of the K-weighted signal over 400 ms
 * blocks (75 % overlap), without blocks below -70 LUFS or more than 10 LU below the mean of the others.
 * @returns LUFS; -Infinity for silence, or for less than one block.
 */
export function loudness(samples: Float32Array, sampleRate: number): number {
	const x = Float64Array.from(samples);
	for (const section of kWeighting(sampleRate)) filter(x, section);
	const block = Math.round(0.4 * sampleRate);
	const step = Math.round(0.1 * sampleRate);
	const powers: number[] = [];
	for (let start = 0; start + block <= x.length; start += step) {
		let sum = 0;
		for (let i = start; i < start + block; i++) sum += (x[i] as number) ** 2;
		powers.push(sum / block);
	}
	const lufs = (power: number) => -0.691 + 10 * Math.log10(power);
	const mean = (list: number[]) =>
		list.reduce((a, v) => a + v, 0) / list.length;
	const heard = powers.filter((p) => lufs(p) > -70);
	if (heard.length === 0) return Number.NEGATIVE_INFINITY;
	const gate = lufs(mean(heard)) - 10;
	return lufs(mean(heard.filter((p) => lufs(p) > gate)));
}

/** Largest absolute sample. */
export function peak(samples: Float32Array): number {
	let most = 0;
	for (const v of samples) if (Math.abs(v) > most) most = Math.abs(v);
	return most;
}

/** Peaks stay below this after normalising (-1 dBFS). */
const CEILING = 10 ** (-1 / 20);

/** What {@link normaliseLoudness} did. */
export interface Normalised {
	samples: Float32Array;
	/** Factor that was applied. */
	gain: number;
	/** Loudness reached, LUFS; below the target where peaks left no more room. */
	lufs: number;
}

/**
 * Bring a sound to a loudness with one gain, never so high that a peak passes -1 dBFS.
 * @throws WattvoxError E_CLIP_SILENT when there is nothing to measure.
 */
export function normaliseLoudness(
	samples: Float32Array,
	sampleRate: number,
	target: number = TARGET_LUFS,
): Normalised {
	const before = loudness(samples, sampleRate);
	if (before === Number.NEGATIVE_INFINITY)
		throw new WattvoxError("E_CLIP_SILENT", "the recording is silent");
	const gain = Math.min(
		10 ** ((target - before) / 20),
		CEILING / peak(samples),
	);
	return {
		samples: samples.map((v) => v * gain),
		gain,
		lufs: before + 20 * Math.log10(gain),
	};
}
