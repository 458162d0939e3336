import type { TimedPhone } from "./phones.ts";
import type { Random } from "./random.ts";

/** Root mean square that active speech is brought to, full scale = 1 (about -24 dBFS). */
export const SPEECH_RMS = 0.06;
const PEAK = 0.95;

/** Root mean square over the phones that are not pauses; 0 when there are none. */
export function activeRms(
	samples: Float32Array,
	phones: readonly TimedPhone[],
): number {
	let sum = 0;
	let count = 0;
	let from = 0;
	for (const [phone, end] of phones) {
		if (phone !== "pau") {
			for (let i = from; i < end; i++) sum += (samples[i] ?? 0) ** 2;
			count += end - from;
		}
		from = end;
	}
	return count === 0 ? 0 : Math.sqrt(sum / count);
}

/** Scales to {@link SPEECH_RMS}, less where a peak would pass 0.95; adds white noise of rms `noise`. */
export function level(
	samples: Float32Array,
	phones: readonly TimedPhone[],
	noise: number,
	next: Random,
): Float32Array {
	let peak = 0;
	for (const s of samples) peak = Math.max(peak, Math.abs(s));
	const rms = activeRms(samples, phones);
	const gain =
		rms === 0 ? 1 : Math.min(SPEECH_RMS / rms, (PEAK - 6 * noise) / peak);
	// The sum of four uniform numbers is close to normal; its variance is 4/12.
	const bell = () => (next() + next() + next() + next() - 2) * Math.sqrt(3);
	return samples.map((s) => s * gain + (noise === 0 ? 0 : noise * bell()));
}

const FRAME = 400;

function frames(samples: Float32Array): number[] {
	const out: number[] = [];
	for (let at = 0; at < samples.length; at += FRAME) {
		const part = samples.subarray(at, at + FRAME);
		out.push(Math.sqrt(part.reduce((n, s) => n + s * s, 0) / part.length));
	}
	return out;
}

/**
 * As {@link level}, where no phone timings are given: active are the 25 ms frames (at 16 kHz) that
 * are not more than 30 dB below the loudest.
 */
export function levelFrames(
	samples: Float32Array,
	noise: number,
	next: Random,
): Float32Array {
	const rms = frames(samples);
	const floor = Math.max(0, ...rms) / 10 ** (30 / 20);
	let from = 0;
	const phones = rms.map((r): TimedPhone => {
		from = Math.min(samples.length, from + FRAME);
		return [r > floor ? "ah" : "pau", from];
	});
	return level(samples, phones, noise, next);
}

/** Cuts what is more than 45 dB below the loudest frame off both ends, but for 20 ms. */
export function trim(samples: Float32Array, rate: number): Float32Array {
	const rms = frames(samples);
	const floor = Math.max(0, ...rms) / 10 ** (45 / 20);
	const first = rms.findIndex((r) => r > floor);
	if (first < 0) return samples.slice(0, 0);
	const last = rms.findLastIndex((r) => r > floor);
	const edge = Math.round(0.02 * rate);
	return samples.slice(
		Math.max(0, first * FRAME - edge),
		Math.min(samples.length, (last + 1) * FRAME + edge),
	);
}
