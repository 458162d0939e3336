import { WattvoxError } from "@wattvox/core";
import { readWav } from "@wattvox/speech";

/** How far one sound is from another. */
export interface SoundDifference {
	samples: number;
	/** Largest difference of two samples, in steps of 16 bits. */
	steps: number;
	/** Energy of the other sound over that of the difference, dB; Infinity when they are equal. */
	snrDb: number;
}

/**
 * Compares two WAV files sample by sample.
 * @param other what the first should be
 * @throws WattvoxError E_FILE_FORMAT when one is none; E_GOLDEN when they differ in rate or length
 */
export function soundDifference(
	one: Uint8Array,
	other: Uint8Array,
): SoundDifference {
	const [a, b] = [readWav(one), readWav(other)];
	const [n, m] = [a.samples.length, b.samples.length];
	if (a.sampleRate !== b.sampleRate || n !== m || n === 0)
		throw new WattvoxError(
			"E_GOLDEN",
			`${n} samples at ${a.sampleRate} Hz beside ${m} at ${b.sampleRate} Hz`,
		);
	let [largest, power, noise] = [0, 0, 0];
	for (let i = 0; i < n; i++) {
		const x = b.samples[i] as number;
		const d = (a.samples[i] as number) - x;
		largest = Math.max(largest, Math.abs(d));
		power += x * x;
		noise += d * d;
	}
	const snrDb = noise === 0 ? Infinity : 10 * Math.log10(power / noise);
	return { samples: n, steps: Math.round(largest * 32768), snrDb };
}
