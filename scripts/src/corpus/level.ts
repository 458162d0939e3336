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
