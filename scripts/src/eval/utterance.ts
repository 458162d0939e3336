import {
	type Cepstra,
	melCepstra,
	plainWords,
	type WordErrors,
	wordErrors,
} from "@wattvox/cloud-trainer";
import { BASE_MEL, logMel, normalise, trackPitch } from "@wattvox/speech";
import { type Clip, textKey } from "./clips.ts";
import { recognise } from "./recognise.ts";
import type { SpeakerEncoder } from "./speaker-encoder.ts";

/** All that the tables need to know of one spoken sentence. */
export interface Utterance {
	name: string;
	text: string;
	/** The words alone; equal for equal sentences. */
	key: string;
	/** Seconds. */
	seconds: number;
	cepstra: Cepstra;
	/** Hz of each frame, 0 where unvoiced; empty where pitch was not asked. */
	hz: Float32Array;
	/** Unless no recogniser was asked. */
	heard?: string;
	words?: WordErrors;
	/** [192], unless there is no speaker encoder. */
	embedding?: Float32Array;
}

export interface ListenOptions {
	/** Ask the recogniser (about a second per sentence and job). */
	words: boolean;
	/** Find the pitch. */
	pitch: boolean;
	jobs?: number | undefined;
	encoder?: SpeakerEncoder | undefined;
	signal?: AbortSignal | undefined;
	onDone?: (done: number) => void;
}

/** Turns clips into utterances: features for all, recognition and embeddings where asked. */
export async function listen(
	clips: readonly Clip[],
	opts: ListenOptions,
): Promise<Utterance[]> {
	const heard = opts.words
		? await recognise(
				clips.map((c) => c.samples),
				{
					signal: opts.signal,
					...(opts.jobs ? { jobs: opts.jobs } : {}),
					...(opts.onDone ? { onDone: opts.onDone } : {}),
				},
			)
		: undefined;
	const out: Utterance[] = [];
	for (const [i, clip] of clips.entries()) {
		opts.signal?.throwIfAborted();
		const mel = logMel(clip.samples, BASE_MEL);
		const h = heard?.[i];
		out.push({
			name: clip.name,
			text: clip.text,
			key: textKey(clip.text),
			seconds: clip.samples.length / BASE_MEL.sampleRate,
			cepstra: melCepstra(mel, BASE_MEL.nMels),
			hz: opts.pitch
				? trackPitch(clip.samples, BASE_MEL.sampleRate).hz
				: new Float32Array(0),
			...(h === undefined
				? {}
				: {
						heard: h,
						words: wordErrors(spokenWords(clip.text), plainWords(h)),
					}),
			...(opts.encoder ? { embedding: await opts.encoder.embed(mel) } : {}),
		});
	}
	return out;
}

/** The words of a transcript as a recogniser would write them: numbers and abbreviations spelled out. */
export function spokenWords(text: string): string[] {
	return plainWords(normalise(text));
}
