import { WattvoxError } from "@wattvox/core";
import { readWav, writeWav } from "@wattvox/speech";
import { Voice } from "@wattvox/synth";

/** Rounding differs between processors; what is heard does not. */
const MIN_SNR_DB = 40;

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

/**
 * Speaks a text on this machine with a bundle, and compares what a device made of it.
 * @returns how near they are, in words
 * @throws WattvoxError E_GOLDEN when they differ in rate, length or sound; as {@link readWav}
 */
export async function saysTheSame(
	heard: Uint8Array,
	bundle: string,
	text: string,
): Promise<string> {
	const voice = await Voice.load(bundle);
	try {
		const here = await voice.speak(text).samples();
		const { samples, steps, snrDb } = soundDifference(
			heard,
			writeWav(here, voice.config.sampleRate),
		);
		const found = `${samples} samples, at most ${steps} of 65536 steps apart, ${snrDb.toFixed(1)} dB`;
		if (!(snrDb >= MIN_SNR_DB)) throw new WattvoxError("E_GOLDEN", found);
		return found;
	} finally {
		await voice.dispose();
	}
}
