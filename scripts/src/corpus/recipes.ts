import {
	HELDOUT_VARIANTS,
	type PitchRange,
	TRAIN_VARIANTS,
} from "./espeak-voices.ts";
import { FLITE_VOICES, type FliteVoice } from "./flite.ts";
import { halton, hash, random } from "./random.ts";

/** Colour of the sound: shelves and one bell in dB, and the room's noise. */
export interface Timbre {
	bass: number;
	treble: number;
	bell: { hz: number; gain: number };
	/** Root mean square of the noise under the speech, full scale = 1. */
	noise: number;
}

/** How a pseudo-speaker is made. Factors are relative to the source voice's own habit. */
export interface Recipe {
	id: string;
	source: `flite:${FliteVoice}` | `espeak:${string}`;
	/** Target median pitch in Hz of what is heard. */
	pitch: number;
	/** `pitch` over the source's own median pitch. */
	f0Factor: number;
	/** Liveliness: flite's pitch deviation in Hz at the source, or espeak's range setting 0-99. */
	range: number;
	/** Factor on the formants' frequencies. */
	formant: number;
	/** Factor on the speed of speech. */
	rate: number;
	timbre: Timbre | null;
	split: "train" | "heldout-speaker";
	utterances: number;
}

/** Median pitch in Hz with which the flite voices speak when left alone (measured). */
export const FLITE_PITCH: Readonly<Record<FliteVoice, number>> = {
	slt: 165,
	rms: 105,
	awb: 125,
	kal16: 92,
};

interface Group {
	voice: FliteVoice;
	train: number;
	heldout: number;
	/** Pitch targets in Hz: as far as the voice stays clear. */
	pitch: readonly [number, number];
	formant: readonly [number, number];
}

// rms takes no pitch target, so its pitch moves with the playing speed and its envelope is warped
// back: the two ranges are narrower. kal16 is a diphone voice, rough when moved far.
const GROUPS: readonly Group[] = [
	{
		voice: "slt",
		train: 32,
		heldout: 3,
		pitch: [100, 300],
		formant: [0.82, 1.2],
	},
	{
		voice: "awb",
		train: 30,
		heldout: 3,
		pitch: [80, 290],
		formant: [0.82, 1.22],
	},
	{
		voice: "rms",
		train: 24,
		heldout: 3,
		pitch: [82, 160],
		formant: [0.86, 1.22],
	},
	{
		voice: "kal16",
		train: 22,
		heldout: 3,
		pitch: [80, 210],
		formant: [0.85, 1.22],
	},
];
const ESPEAK_TRAIN = 96;
const ESPEAK_FORMANT: readonly [number, number] = [0.86, 1.16];
const RATE: readonly [number, number] = [0.8, 1.3];
const PLAIN_UTTERANCES = 2250;
const PSEUDO_UTTERANCES = 20;
/** Hours of speech that the utterance counts above come to. */
export const NATURAL_HOURS = 10;

function between([low, high]: readonly [number, number], at: number): number {
	return Math.round((low + (high - low) * at) * 1000) / 1000;
}

/** Between two frequencies, evenly in octaves: the ear's measure. */
function octaves([low, high]: readonly [number, number], at: number): number {
	return Math.round(low * (high / low) ** at * 10) / 10;
}

/**
 * Every speaker of the corpus. Pitch, formants, rate and timbre are drawn from Halton sequences of
 * different bases: each covers its range evenly and none follows another.
 * @param hours wanted length; scales the number of utterances, never the number of speakers
 */
export function recipes(hours: number, seed: number): Recipe[] {
	const scale = hours / NATURAL_HOURS;
	const count = (n: number) => Math.max(3, Math.round(n * scale));
	const shift = seed % 997;
	const all: Recipe[] = FLITE_VOICES.map((voice) => ({
		id: voice,
		source: `flite:${voice}`,
		pitch: FLITE_PITCH[voice],
		f0Factor: 1,
		range: 0,
		formant: 1,
		rate: 1,
		timbre: null,
		split: "train",
		utterances: count(PLAIN_UTTERANCES),
	}));
	let drawn = 0;
	const draw = (base: number) => halton(drawn + 20 + shift, base);
	const add = (
		id: string,
		source: Recipe["source"],
		own: number,
		pitch: readonly [number, number],
		formant: readonly [number, number],
		split: Recipe["split"],
	) => {
		const hz = octaves(pitch, draw(2));
		all.push({
			id,
			source,
			pitch: hz,
			f0Factor: Math.round((hz / own) * 1000) / 1000,
			range: Math.round(between([0, 1], draw(11)) * 100) / 100,
			formant: between(formant, draw(3)),
			rate: between(RATE, draw(5)),
			timbre: {
				bass: between([-5, 5], draw(7)),
				treble: between([-6, 6], draw(13)),
				bell: {
					hz: octaves([500, 4000], draw(17)),
					gain: between([-5, 5], draw(19)),
				},
				noise: between([0.5, 4], random(hash(id))()) * 1e-4,
			},
			split,
			utterances: count(PSEUDO_UTTERANCES),
		});
		drawn++;
	};
	for (const { voice, train, heldout, pitch, formant } of GROUPS) {
		for (let i = 0; i < train + heldout; i++) {
			const held = i >= train;
			const id = `${voice}-${held ? `h${i - train + 1}` : String(i + 1).padStart(2, "0")}`;
			add(
				id,
				`flite:${voice}`,
				FLITE_PITCH[voice],
				pitch,
				formant,
				held ? "heldout-speaker" : "train",
			);
		}
	}
	const espeak = (
		id: string,
		variant: string,
		range: PitchRange,
		british: boolean,
		split: Recipe["split"],
	) => {
		const voice = british ? "en-gb-x-rp" : "en-us";
		// Playing speed moves the pitch too, so the source must reach `pitch / formant`.
		const reach: readonly [number, number] = [
			Math.max(75, range[0] * ESPEAK_FORMANT[1]),
			Math.min(300, range[2] * ESPEAK_FORMANT[0]),
		];
		add(
			id,
			`espeak:${voice}+${variant}`,
			range[1],
			reach,
			ESPEAK_FORMANT,
			split,
		);
	};
	const variants = Object.entries(TRAIN_VARIANTS);
	for (let i = 0; i < ESPEAK_TRAIN; i++) {
		const [variant, range] = variants[i % variants.length] ?? [
			"f1",
			[120, 181, 306],
		];
		const id = `es-${String(i + 1).padStart(3, "0")}-${variant}`;
		espeak(id, variant, range, i % 7 === 3, "train");
	}
	for (const [variant, range] of Object.entries(HELDOUT_VARIANTS)) {
		espeak(`es-h-${variant}`, variant, range, false, "heldout-speaker");
	}
	return all;
}
