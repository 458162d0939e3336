import { join } from "node:path";
import { writeAtomic } from "@wattvox/core";
import type { Engine } from "@wattvox/runtime";
import { toPhones } from "@wattvox/speech";
import { phoneProbabilities } from "../align/aligner.ts";
import {
	type TokenizedTranscript,
	transcriptTokens,
} from "../align/transcript.ts";
import { alignTokens } from "../align/viterbi.ts";
import type { Utterance } from "../data/corpus.ts";
import type { Example } from "../data/features.ts";
import type { Recording } from "../data/layouts.ts";

const PAUSE = "pau";
/** Every so many recordings one goes to validation. */
const VALIDATION_EVERY = 40;

/** A recording's words as phones; a corpus with phones of its own counts as one word. */
function wordsOf(r: Recording): { text: string; phones: string[] }[] {
	if (r.phones)
		return [{ text: r.text, phones: r.phones.filter((p) => p !== PAUSE) }];
	return toPhones(r.text).words;
}

/** The symbols that a corpus needs beyond padding: a pause, then its phones in order of the alphabet. */
export function phonesOf(recordings: readonly Recording[]): string[] {
	const seen = new Set(
		recordings.flatMap((r) => wordsOf(r).flatMap((w) => w.phones)),
	);
	seen.delete(PAUSE);
	return [PAUSE, ...[...seen].sort()];
}

/**
 * Recordings as utterances whose phones share the time equally: where a flat start begins.
 * Recordings without words are left out.
 * @param lengths samples of each recording at the model's rate, by id
 */
export function flatStart(
	recordings: readonly Recording[],
	lengths: ReadonlyMap<string, number>,
): Utterance[] {
	const out: Utterance[] = [];
	recordings.forEach((r, i) => {
		const phones = [
			PAUSE,
			...wordsOf(r).flatMap((w) => w.phones.filter((p) => p !== PAUSE)),
			PAUSE,
		];
		const samples = lengths.get(r.id) ?? 0;
		if (phones.length < 3 || samples === 0) return;
		out.push({
			id: r.id,
			speaker: r.speaker,
			source: "recording",
			text: r.text,
			wav: r.wav,
			samples,
			phones: phones.map((p, k) => [
				p,
				Math.round((samples * (k + 1)) / phones.length),
			]),
			split: i % VALIDATION_EVERY === VALIDATION_EVERY - 1 ? "val" : "train",
		});
	});
	return out;
}

/** What came of aligning a corpus. */
export interface AlignedCorpus {
	examples: Example[];
	/** Recordings that the aligner could not lay their text over, with its score. */
	rejected: { id: string; score: number }[];
}

/** Mean log-probability per frame below which a recording and its text do not belong together. */
export const RECORDING_FLOOR = -3.5;

/**
 * Lays each recording's text over its sound anew with an aligner, pauses where they are heard.
 * @param floor recordings that score lower are rejected
 */
export async function realign(
	examples: readonly Example[],
	recordings: readonly Recording[],
	symbols: readonly string[],
	nMels: number,
	aligner: Engine,
	floor = RECORDING_FLOOR,
	progress?: (done: number, total: number) => void,
): Promise<AlignedCorpus> {
	const transcripts = new Map<string, TokenizedTranscript>();
	for (const r of recordings) {
		const words = wordsOf(r);
		if (words.some((w) => w.phones.length))
			transcripts.set(r.id, transcriptTokens(words, symbols, PAUSE));
	}
	const out: AlignedCorpus = { examples: [], rejected: [] };
	for (const [i, e] of examples.entries()) {
		const transcript = transcripts.get(e.id);
		if (!transcript) continue;
		const logp = await phoneProbabilities(
			aligner,
			Float32Array.from(e.mel),
			e.frames,
			nMels,
		);
		const found = alignTokens(
			logp,
			e.frames,
			symbols.length,
			transcript.tokens,
		);
		if (!found || found.score < floor) {
			out.rejected.push({
				id: e.id,
				score: found?.score ?? Number.NEGATIVE_INFINITY,
			});
			continue;
		}
		const kept = found.spans
			.map((s, t) => ({
				d: s.end - s.start,
				symbol: transcript.tokens[t]?.symbol ?? 0,
			}))
			.filter((x) => x.d > 0);
		out.examples.push({
			...e,
			phones: Int32Array.from(kept, (x) => x.symbol),
			durations: Int32Array.from(kept, (x) => x.d),
		});
		if (i % 50 === 0) progress?.(i, examples.length);
	}
	return out;
}

/** Writes an aligned corpus as our own layout's `utterances.jsonl` into a folder. */
export async function writeUtterances(
	dir: string,
	utterances: readonly Utterance[],
	aligned: readonly Example[],
	symbols: readonly string[],
	hop: number,
): Promise<void> {
	const byId = new Map(utterances.map((u) => [u.id, u]));
	const lines = aligned.map((e) => {
		let end = 0;
		const phones = Array.from(e.phones, (p, i) => {
			end += (e.durations[i] ?? 0) * hop;
			return [symbols[p], end];
		});
		return JSON.stringify({ ...byId.get(e.id), phones });
	});
	await writeAtomic(join(dir, "utterances.jsonl"), `${lines.join("\n")}\n`);
}
