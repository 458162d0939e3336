import {
	corpusWer,
	type Estimate,
	mcdDtw,
	meanEstimate,
	type WordErrors,
	werRatio,
} from "@wattvox/cloud-trainer";
import {
	closerByCosine,
	closerByMcd,
	cosineHalves,
	cosinePairs,
	cosineToTarget,
	mcdHalves,
	type Rival,
	type SelfRatio,
} from "./identity.ts";
import { voicePitch } from "./pitch.ts";
import type { Utterance } from "./utterance.ts";

/** Some voices of the base that the synthesis might be mistaken for. */
export interface RivalSet {
	name: string;
	rivals: readonly Rival[];
}

/** Shares of sentences closer to the target than to every voice of a set. */
export interface Closer {
	name: string;
	rivals: number;
	cosine?: ReturnType<typeof closerByCosine>;
	mcd?: ReturnType<typeof closerByMcd>;
}

/** What the tables hold of one synthesised voice. Absent: not measured. */
export interface Measures {
	sentences: number;
	/** Seconds of recording and of synthesis. */
	seconds: { recording: number; synth: number };
	wer?: { recording: Estimate; synth: Estimate; ratio: Estimate };
	/** Cosine of sentences to the target's other recordings, for synthesis and recordings. */
	cosine?: { recording: Estimate; synth: Estimate };
	/** dB, to the recording of the same sentence, by time warping. */
	mcd: Estimate;
	/** One for each set of rivals. */
	closer: Closer[];
	cosinePairs?: SelfRatio;
	cosineHalves?: SelfRatio;
	mcdHalves: SelfRatio;
	/** Hz, geometric mean over voiced frames. */
	pitch: { recording: number; synth: number; ratio: number };
	/** Sentence by sentence, in the order of `synth`: what paired comparisons need. */
	perSentence: { name: string; cosine: number; mcd: number }[];
}

/**
 * Measures one voice.
 *
 * @param recordings of the target, at least 4 sentences; none that the voice was tuned on
 * @param synth the same sentences, by name, from the voice under test
 */
export function measure(
	recordings: readonly Utterance[],
	synth: readonly Utterance[],
	sets: readonly RivalSet[] = [],
): Measures {
	const pairs = synth.flatMap((s) => {
		const recording = recordings.find((r) => r.name === s.name);
		return recording ? [{ recording, synth: s }] : [];
	});
	const target = pairs.map((p) => p.recording);
	const said = pairs.map((p) => p.synth);
	const mcds = pairs.map((p) => mcdDtw(p.synth.cepstra, p.recording.cepstra));
	const cosines = cosineToTarget(said, target);
	const voiced = said.every((s) => s.embedding);
	const heard = wordErrorsOf(pairs);
	const pitch = { recording: voicePitch(target), synth: voicePitch(said) };
	return {
		sentences: pairs.length,
		seconds: { recording: seconds(target), synth: seconds(said) },
		...(heard
			? {
					wer: {
						recording: corpusWer(heard.recording),
						synth: corpusWer(heard.synth),
						ratio: werRatio(heard.recording, heard.synth),
					},
				}
			: {}),
		mcd: meanEstimate(mcds),
		mcdHalves: mcdHalves(said, target),
		...(voiced
			? {
					cosine: {
						recording: meanEstimate(cosineToTarget(target, target)),
						synth: meanEstimate(cosines),
					},
					cosinePairs: cosinePairs(said, target),
					cosineHalves: cosineHalves(said, target),
				}
			: {}),
		closer: sets.map(({ name, rivals }) => ({
			name,
			rivals: rivals.length,
			// Mean embeddings alone say nothing of spectra.
			...(rivals.every((r) => r.clips.length > 0)
				? { mcd: closerByMcd(said, target, rivals) }
				: {}),
			...(voiced ? { cosine: closerByCosine(said, target, rivals) } : {}),
		})),
		pitch: { ...pitch, ratio: pitch.synth / pitch.recording },
		perSentence: said.map((s, i) => ({
			name: s.name,
			cosine: cosines[i] ?? Number.NaN,
			mcd: mcds[i] ?? Number.NaN,
		})),
	};
}

function seconds(clips: readonly Utterance[]): number {
	return clips.reduce((n, c) => n + c.seconds, 0);
}

function wordErrorsOf(pairs: { recording: Utterance; synth: Utterance }[]) {
	const recording: WordErrors[] = [];
	const synth: WordErrors[] = [];
	for (const p of pairs) {
		if (!p.recording.words || !p.synth.words) return undefined;
		recording.push(p.recording.words);
		synth.push(p.synth.words);
	}
	return { recording, synth };
}
