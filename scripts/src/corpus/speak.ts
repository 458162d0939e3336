import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { readWav } from "@wattvox/speech";
import { espeak } from "./espeak.ts";
import {
	HELDOUT_VARIANTS,
	pitchSetting,
	TRAIN_VARIANTS,
} from "./espeak-voices.ts";
import { type FliteVoice, flite } from "./flite.ts";
import { level } from "./level.ts";
import { type TimedPhone, toSamples } from "./phones.ts";
import { hash, random } from "./random.ts";
import type { Recipe } from "./recipes.ts";
import { sox } from "./sox.ts";
import { warpFormants } from "./warp.ts";

/** The corpus's sample rate in Hz. */
export const RATE = 16000;
/** espeak-ng's speed that is as fast as the flite voices, in words a minute. */
const ESPEAK_WORDS = 150;
/** Silence put before espeak-ng's speech, which starts at once, in seconds. */
const LEAD = 0.16;

export interface Tools {
	/** A folder for files that live for one utterance. */
	scratch: string;
	/** The program of `buildEspeak`; undefined when no recipe needs it. */
	espeak?: string;
}

export interface Spoken {
	samples: Float32Array;
	phones: TimedPhone[];
}

/**
 * How a recipe is carried out. `speed` moves pitch and formants together, so the source is asked
 * for `pitch / speed` and the remaining formant shift is `warp`.
 */
export interface Moves {
	speed: number;
	warp: number;
	/** Pitch in Hz asked of the source; undefined where it is left alone. */
	sourcePitch: number | undefined;
	/** Factor on the source's durations: `rate` is kept whatever `speed` does. */
	stretch: number;
}

/** The plan for a recipe: pure. */
export function moves(recipe: Recipe): Moves {
	if (recipe.timbre === null) {
		return { speed: 1, warp: 1, sourcePitch: undefined, stretch: 1 };
	}
	if (recipe.source === "flite:rms") {
		// This voice takes no pitch target: speed sets the pitch, the warp sets the formants.
		const speed = recipe.f0Factor;
		return {
			speed,
			warp: recipe.formant / speed,
			sourcePitch: undefined,
			stretch: speed / recipe.rate,
		};
	}
	const speed = recipe.formant;
	return {
		speed,
		warp: 1,
		sourcePitch: recipe.pitch / speed,
		stretch: speed / recipe.rate,
	};
}

/** Speaks one text as one pseudo-speaker: 16 kHz samples and exact phone ends. */
export async function speak(
	recipe: Recipe,
	text: string,
	id: string,
	tools: Tools,
	signal?: AbortSignal,
): Promise<Spoken> {
	const { speed, warp, sourcePitch, stretch } = moves(recipe);
	const file = join(tools.scratch, `${id}.part.wav`);
	const [engine = "", voice = ""] = recipe.source.split(":");
	let ends: [string, number][];
	let samples: Float32Array;
	try {
		if (engine === "flite") {
			const plain = recipe.timbre === null;
			ends = await flite(
				text,
				file,
				{
					voice: voice as FliteVoice,
					...(plain ? {} : { stretch }),
					...(sourcePitch === undefined
						? {}
						: {
								pitch: {
									mean: sourcePitch,
									deviation: sourcePitch * (0.05 + 0.17 * recipe.range),
								},
							}),
				},
				signal,
			);
			samples = plain
				? readWav(await readFile(file)).samples
				: await sox({ path: file }, speed, recipe.timbre, RATE, signal);
		} else {
			const variant = voice.split("+")[1] ?? "";
			const range = TRAIN_VARIANTS[variant] ?? HELDOUT_VARIANTS[variant];
			const speech = await espeak(
				tools.espeak ?? "",
				text,
				file,
				{
					voice,
					words: Math.min(450, Math.max(80, ESPEAK_WORDS / stretch)),
					pitch: range && sourcePitch ? pitchSetting(range, sourcePitch) : 50,
					range: 25 + 60 * recipe.range,
				},
				signal,
			);
			ends = speech.phones;
			samples = await sox(
				{ path: file, rawRate: speech.sampleRate },
				speed,
				recipe.timbre,
				RATE,
				signal,
			);
			const lead = new Float32Array(Math.round(LEAD * RATE) + samples.length);
			lead.set(samples, lead.length - samples.length);
			samples = lead;
			ends = [
				["pau", 0],
				...ends.map(([p, e]): [string, number] => [p, e + LEAD * speed]),
			];
		}
	} finally {
		await rm(file, { force: true });
	}
	const phones = toSamples(ends, 1 / speed, RATE, samples.length);
	if (warp !== 1) samples = warpFormants(samples, warp);
	const noise = recipe.timbre?.noise ?? 0;
	return { samples: level(samples, phones, noise, random(hash(id))), phones };
}
