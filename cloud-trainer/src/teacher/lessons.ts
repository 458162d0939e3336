import { asWattvoxError, type WattvoxError } from "@wattvox/core";
import type { Engine } from "@wattvox/runtime";
import {
	clippedShare,
	logMel,
	loudness,
	normaliseLoudness,
	resample,
	toPhones,
} from "@wattvox/speech";
import { alignTranscript, phoneProbabilities } from "../align/aligner.ts";
import { transcriptTokens } from "../align/transcript.ts";
import { RECORDING_FLOOR } from "../pretrain/align-corpus.ts";
import type { Base } from "../pretrain/base.ts";
import { BASE_LUFS } from "../voice/prepare.ts";
import { cutAtPauses, type Segment } from "../voice/segments.ts";
import type { Discarded, SpokenByTeacher } from "./collect.ts";
import { soundOf } from "./sound.ts";

/** Sentences that can be learned from, as one recording with its segments. */
export interface Lessons {
	/** The sentences one after the other, at the base's rate and loudness, each from a frame's start. */
	samples: Float32Array;
	segments: Segment[];
	texts: string[];
	discarded: Discarded[];
}

/** Below this a sentence counts as silent, LUFS. */
const SILENCE = -60;
/** More of its samples than this on flat tops, and a sentence is clipped. */
const CLIPPED = 0.001;
/** Seconds that a sentence may take. */
const SHORTEST = 0.4;
const LONGEST = 30;

/** A reason to discard a sentence. */
class Unfit {
	readonly reason: string;
	readonly detail: string;
	constructor(reason: string, detail: string) {
		this.reason = reason;
		this.detail = detail;
	}
}

/** Why a sentence cannot be said with a base's phones; undefined: it can. */
export function unpronounceable(
	text: string,
	symbols: readonly string[],
): string | undefined {
	try {
		const { words, skipped } = toPhones(text);
		transcriptTokens(words, symbols);
		return (
			skipped[0] && `${JSON.stringify(skipped[0].text)}: ${skipped[0].why}`
		);
	} catch (thrown) {
		return asWattvoxError(thrown).message;
	}
}

/**
 * Judges and aligns what a teacher has spoken. A sentence is discarded when it is silent, clipped flat,
 * too short or too long, or when the base's aligner does not hear its text in it.
 */
export async function makeLessons(
	spoken: readonly SpokenByTeacher[],
	base: Base,
	aligner: Engine,
	o: { signal?: AbortSignal; onDone?: (done: number) => void } = {},
): Promise<Lessons> {
	const { hop } = base.audio;
	const parts: Float32Array[] = [];
	const out: Omit<Lessons, "samples"> = {
		segments: [],
		texts: [],
		discarded: [],
	};
	let frame = 0;
	for (const [i, s] of spoken.entries()) {
		o.signal?.throwIfAborted();
		try {
			const samples = await fit(s, base);
			const segments = await segmentsOf(s.text, samples, base, aligner);
			for (const [k, segment] of segments.entries())
				out.segments.push({
					...segment,
					id: `sentence-${String(i).padStart(4, "0")}-${k}`,
					from: segment.from + (frame * hop) / base.audio.sampleRate,
				});
			out.texts.push(s.text);
			parts.push(samples);
			frame += samples.length / hop;
		} catch (thrown) {
			if (!(thrown instanceof Unfit)) throw thrown;
			const { reason, detail } = thrown;
			out.discarded.push({ text: s.text, reason, detail });
		}
		o.onDone?.(i + 1);
	}
	const samples = new Float32Array(frame * hop);
	let at = 0;
	for (const part of parts) {
		samples.set(part, at);
		at += part.length;
	}
	return { ...out, samples };
}

/** A sentence at the base's rate and loudness, in whole frames. @throws Unfit */
async function fit(s: SpokenByTeacher, { audio }: Base): Promise<Float32Array> {
	const wav = soundOf(s.bytes);
	const seconds = wav.samples.length / wav.sampleRate;
	if (seconds < SHORTEST)
		throw new Unfit("too short", `${seconds.toFixed(1)} s`);
	if (seconds > LONGEST) throw new Unfit("too long", `${seconds.toFixed(0)} s`);
	const lufs = loudness(wav.samples, wav.sampleRate);
	if (!(lufs > SILENCE)) throw new Unfit("silent", `${lufs.toFixed(0)} LUFS`);
	const clipped = clippedShare(wav.samples);
	if (clipped > CLIPPED)
		throw new Unfit(
			"clipped",
			`${(100 * clipped).toFixed(1)} % of its samples`,
		);
	const at =
		wav.sampleRate === audio.sampleRate
			? wav.samples
			: await resample(wav.samples, wav.sampleRate, audio.sampleRate);
	const { samples } = normaliseLoudness(at, audio.sampleRate, BASE_LUFS);
	const whole = new Float32Array(
		Math.ceil(samples.length / audio.hop) * audio.hop,
	);
	whole.set(samples);
	return whole;
}

/** The sentence's segments. @throws Unfit when its text is not heard in it */
async function segmentsOf(
	text: string,
	samples: Float32Array,
	base: Base,
	aligner: Engine,
): Promise<Segment[]> {
	const { audio, symbols } = base;
	const mel = logMel(samples, audio);
	const frames = mel.length / audio.nMels;
	const transcript = transcriptTokens(toPhones(text).words, symbols);
	const logp = await phoneProbabilities(aligner, mel, frames, audio.nMels);
	try {
		const alignment = alignTranscript(
			logp,
			frames,
			symbols.length,
			transcript,
			audio.hop / audio.sampleRate,
		);
		if (alignment.score < RECORDING_FLOOR)
			throw new Unfit(
				"not what was to be said",
				`score ${alignment.score.toFixed(1)} per frame`,
			);
		return cutAtPauses(mel, samples, audio, transcript, alignment);
	} catch (thrown) {
		const { code, message } = thrown as WattvoxError;
		if (code !== "E_ALIGN") throw thrown;
		throw new Unfit("not what was to be said", message);
	}
}
