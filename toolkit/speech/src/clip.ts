import { WattvoxError } from "@wattvox/core";
import { loudness, peak } from "./loudness.ts";
import { detectSpeech } from "./slice.ts";

/** Seconds of recording that a voice can be trained on. */
export const CLIP_SHORTEST = 20;
export const CLIP_LONGEST = 600;

/** Integrated loudness below which a recording is taken for silence, LUFS. */
const SILENCE = -60;
/** Share of samples on flat tops above which a recording is taken for clipped. */
const CLIPPED_SHARE = 0.001;
/** Consecutive samples at the extreme value that make a flat top; a clean peak has one or two. */
const FLAT_RUN = 4;

/** What a recording is like. */
export interface ClipReport {
	seconds: number;
	/** Integrated loudness, LUFS. */
	lufs: number;
	/** Largest absolute sample. */
	peak: number;
	/** Share of samples that lie on flat tops at the extreme values. */
	clipped: number;
	/** Seconds in which someone speaks. */
	speech: number;
}

/** Share of samples in runs of four or more at the highest or the lowest value (attenuated later or not). */
export function clippedShare(samples: Float32Array): number {
	let high = 0;
	let low = 0;
	for (const v of samples) {
		if (v > high) high = v;
		if (v < low) low = v;
	}
	// Flat tops a hair apart: rounding to 16 bits, or a mix-down.
	const tolerance = 1e-4;
	let flat = 0;
	let run = 0;
	for (let i = 0; i <= samples.length; i++) {
		const v = samples[i] ?? 0;
		const extreme =
			i < samples.length &&
			v !== 0 &&
			(v > 0 ? v >= high * (1 - tolerance) : v <= low * (1 - tolerance));
		if (extreme) run++;
		else {
			if (run >= FLAT_RUN) flat += run;
			run = 0;
		}
	}
	return samples.length === 0 ? 0 : flat / samples.length;
}

/** Measure a recording without judging it. */
export function describeClip(
	samples: Float32Array,
	sampleRate: number,
): ClipReport {
	const speech = detectSpeech(samples, sampleRate);
	return {
		seconds: samples.length / sampleRate,
		lufs: loudness(samples, sampleRate),
		peak: peak(samples),
		clipped: clippedShare(samples),
		speech: speech.reduce((a, v) => a + v, 0) * 0.01,
	};
}

/**
 * Is a recording fit to train a voice on?
 * @throws WattvoxError E_CLIP_SHORT (below 20 s), E_CLIP_LONG (above 10 min), E_CLIP_SILENT, E_CLIP_CLIPPED.
 */
export function checkClip(
	samples: Float32Array,
	sampleRate: number,
): ClipReport {
	const seconds = samples.length / sampleRate;
	if (seconds < CLIP_SHORTEST)
		throw new WattvoxError(
			"E_CLIP_SHORT",
			`the recording is ${seconds.toFixed(1)} s long; at least ${CLIP_SHORTEST} s are needed`,
		);
	if (seconds > CLIP_LONGEST)
		throw new WattvoxError(
			"E_CLIP_LONG",
			`the recording is ${(seconds / 60).toFixed(1)} min long; at most ${CLIP_LONGEST / 60} min are used`,
		);
	const report = describeClip(samples, sampleRate);
	if (!(report.lufs > SILENCE))
		throw new WattvoxError(
			"E_CLIP_SILENT",
			Number.isFinite(report.lufs)
				? `the recording is all but silent (${report.lufs.toFixed(0)} LUFS)`
				: "the recording is silent",
		);
	if (report.clipped > CLIPPED_SHARE)
		throw new WattvoxError(
			"E_CLIP_CLIPPED",
			`${(100 * report.clipped).toFixed(1)} % of the recording is clipped flat`,
		);
	return report;
}
