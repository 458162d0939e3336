import { type Clock, systemClock, WattvoxError } from "@wattvox/core";
import { LOG_MEL_MIN, logMel, type MelConfig } from "@wattvox/speech";
import { z } from "zod";
import { Playhead } from "./playhead.ts";
import { concat } from "./utterance.ts";
import type { Voice } from "./voice.ts";
import { parseJson } from "./voice-config.ts";

/** Step of a stored log-mel value: 1/16 neper, whose rounding adds 0.016 to a distance. */
const STEP = 1 / 16;

const zGolden = z.object({
	format: z.literal("wattvox-golden/1"),
	mel: z.object({
		sampleRate: z.int().min(8000),
		nFft: z
			.int()
			.min(16)
			.max(1 << 16),
		hop: z.int().min(1),
		nMels: z.int().min(1).max(512),
		fmin: z.number().min(0),
		fmax: z.number().min(1),
	}),
	sentences: z
		.array(
			z.object({
				text: z.string().min(1).max(1000),
				/** Of the noise it was spoken with. */
				seed: z.int().min(0).max(0xffffffff),
				frames: z.int().min(1).max(100_000),
				/** Base64 of [frames, nMels] bytes, row-major: q = round((x - ln 1e-5) * 16), x a log-mel value. */
				mel: z.string(),
			}),
		)
		.min(1)
		.max(16),
});

/** `golden.json`: sentences with the spectra that the trainer's own engine gave them. */
export type Golden = z.infer<typeof zGolden>;

/**
 * Parses `golden.json`.
 * @throws WattvoxError E_FILE_FORMAT
 */
export function parseGolden(bytes: Uint8Array): Golden {
	const golden = parseJson(bytes, zGolden, "golden.json");
	for (const s of golden.sentences)
		if (Buffer.from(s.mel, "base64").length !== s.frames * golden.mel.nMels)
			throw new WattvoxError(
				"E_FILE_FORMAT",
				`golden.json: the spectrum of "${s.text}" has not ${s.frames} frames`,
			);
	return golden;
}

/** Log-mel values as bytes. */
export function packMel(mel: Float32Array): Uint8Array {
	return Uint8Array.from(mel, (x) =>
		Math.max(0, Math.min(255, Math.round((x - LOG_MEL_MIN) / STEP))),
	);
}

/** What {@link packMel} packed, to within half a step. */
export function unpackMel(bytes: Uint8Array): Float32Array {
	return Float32Array.from(bytes, (q) => LOG_MEL_MIN + q * STEP);
}

/**
 * Speaks sentences and keeps their spectra, to be put into the bundle as `golden.json`.
 * @throws as {@link Voice.speak}
 */
export async function makeGolden(
	voice: Voice,
	texts: readonly string[],
	mel: MelConfig,
	options: { seed?: number; signal?: AbortSignal | undefined } = {},
): Promise<Golden> {
	const { seed = 1, signal } = options;
	const sentences: Golden["sentences"] = [];
	for (const text of texts) {
		const samples = await voice.speak(text, { seed, signal }).samples();
		const packed = packMel(logMel(samples, mel));
		sentences.push({
			text,
			seed,
			frames: packed.length / mel.nMels,
			mel: Buffer.from(packed).toString("base64"),
		});
	}
	return { format: "wattvox-golden/1", mel: { ...mel }, sentences };
}

/** What must hold before a voice may speak on a device. */
export interface GoldenLimits {
	/** Mean absolute difference of log-mel values (nepers) to the reference. Default 0.35. */
	melDistance: number;
	/** Relative difference in length. Default 0.02. */
	lengthDifference: number;
	/** Seconds of computing per second of speech. Default 0.8: slower cannot keep up with its own playback. */
	realTimeFactor: number;
	/** ms to the first samples; no limit by default. */
	firstSoundMs?: number;
	/**
	 * How often a player would have had nothing to play, over all sentences; no limit by default: a machine
	 * that is busy with something else for a moment is no fault of the voice's.
	 */
	underruns?: number;
}

export const GOLDEN_LIMITS: GoldenLimits = {
	melDistance: 0.35,
	lengthDifference: 0.02,
	realTimeFactor: 0.8,
};

export interface GoldenResult {
	passed: boolean;
	/** Which limits do not hold, in words; empty when passed. */
	problems: string[];
	/** Worst over the sentences. */
	melDistance: number;
	/** Over all sentences together. */
	realTimeFactor: number;
	/** Worst over the sentences, ms. */
	firstSoundMs: number;
	/** How often a player would have had nothing to play, had it played as the samples came; over all sentences. */
	underruns: number;
}

/**
 * Speaks the golden sentences and holds them to limits.
 * @throws WattvoxError E_MODEL and others when the voice cannot speak at all
 */
export async function checkGolden(
	voice: Voice,
	golden: Golden,
	limits: GoldenLimits = GOLDEN_LIMITS,
	signal?: AbortSignal,
	clock: Clock = systemClock,
): Promise<GoldenResult> {
	const problems: string[] = [];
	let [melDistance, firstSoundMs, compute, audio, underruns] = [0, 0, 0, 0, 0];
	for (const s of golden.sentences) {
		const utterance = voice.speak(s.text, { seed: s.seed, signal });
		const head = new Playhead();
		const parts: Float32Array[] = [];
		for await (const part of utterance) {
			head.gave(part.length / utterance.sampleRate, clock.monotonic() / 1000);
			parts.push(part);
		}
		const heard = logMel(concat(parts), golden.mel);
		const { stats } = utterance;
		underruns += head.underruns;
		compute += stats.computeMs / 1000;
		audio += stats.audioSeconds;
		firstSoundMs = Math.max(firstSoundMs, stats.firstSoundMs ?? 0);
		const frames = heard.length / golden.mel.nMels;
		const quoted = JSON.stringify(s.text.slice(0, 40));
		if (Math.abs(frames / s.frames - 1) > limits.lengthDifference)
			problems.push(`${quoted} takes ${frames} frames instead of ${s.frames}`);
		const distance = melDistanceOf(
			heard,
			unpackMel(Buffer.from(s.mel, "base64")),
		);
		melDistance = Math.max(melDistance, distance);
		if (!(distance <= limits.melDistance))
			problems.push(
				`${quoted} sounds different: mel distance ${distance.toFixed(3)}, limit ${limits.melDistance}`,
			);
	}
	const realTimeFactor = compute / audio;
	if (!(realTimeFactor <= limits.realTimeFactor))
		problems.push(
			`real-time factor ${realTimeFactor.toFixed(3)}, limit ${limits.realTimeFactor}`,
		);
	if (limits.firstSoundMs !== undefined && firstSoundMs > limits.firstSoundMs)
		problems.push(
			`first sound after ${Math.round(firstSoundMs)} ms, limit ${limits.firstSoundMs}`,
		);
	if (limits.underruns !== undefined && underruns > limits.underruns)
		problems.push(
			`${underruns} underruns in its own playback, limit ${limits.underruns}`,
		);
	return {
		passed: problems.length === 0,
		problems,
		melDistance,
		realTimeFactor,
		firstSoundMs,
		underruns,
	};
}

/** Mean |a - b| over the frames that both have. */
function melDistanceOf(a: Float32Array, b: Float32Array): number {
	const n = Math.min(a.length, b.length);
	let sum = 0;
	for (let i = 0; i < n; i++) sum += Math.abs((a[i] ?? 0) - (b[i] ?? 0));
	return n > 0 ? sum / n : Number.POSITIVE_INFINITY;
}
