import { WattvoxError } from "@wattvox/core";
import { floats } from "@wattvox/onnx";
import type { Engine } from "@wattvox/runtime";
import type { TokenizedTranscript } from "./transcript.ts";
import { alignTokens, type Span } from "./viterbi.ts";

/** A word's place and how well it fits there. */
export interface AlignedWord {
	text: string;
	startFrame: number;
	endFrame: number;
	/** Mean log-probability per frame of its own phones; near 0 is certain, below -4 is a guess. */
	score: number;
}

export interface Alignment {
	spans: Span[];
	words: AlignedWord[];
	/** Mean log-probability per frame over all. */
	score: number;
}

/** Below this mean log-probability a word does not fit what is heard. */
export const WORD_FLOOR = -4;
/** More than this share of misfitting words means the transcript is of something else. */
const MISFIT_SHARE = 0.35;
/** This many misfitting words in a row are named as a place where transcript and recording part. */
const MISFIT_RUN = 6;
/** Up to this many frame-token pairs the search is exact; beyond, it keeps near the diagonal. */
const EXACT = 60_000_000;

/** Log-probabilities of phones per frame, [frames, symbols], by the base's aligner. */
export async function phoneProbabilities(
	engine: Engine,
	mel: Float32Array,
	frames: number,
	nMels: number,
): Promise<Float32Array> {
	const { log_phones } = await engine.run({
		mel: { dtype: "float32", dims: [1, frames, nMels], data: mel },
		mask: floats(new Float32Array(frames).fill(1), [1, frames, 1]) as never,
	});
	return log_phones?.data as Float32Array;
}

/**
 * Lays a transcript over a recording.
 * @param logp [frames, symbols] from {@link phoneProbabilities}
 * @throws WattvoxError E_ALIGN saying where transcript and recording part
 */
export function alignTranscript(
	logp: Float32Array,
	frames: number,
	symbols: number,
	transcript: TokenizedTranscript,
	secondsPerFrame: number,
): Alignment {
	const n = transcript.tokens.length;
	const band =
		n * frames <= EXACT ? n : Math.max(200, Math.ceil(EXACT / frames / 2));
	const found = alignTokens(logp, frames, symbols, transcript.tokens, band);
	if (!found)
		throw new WattvoxError(
			"E_ALIGN",
			`the transcript has ${n} sounds, the recording only ${(frames * secondsPerFrame).toFixed(1)} s: the text is longer than what is spoken`,
		);
	const words = transcript.words.map((w): AlignedWord => {
		let sum = 0;
		let count = 0;
		for (let t = w.first; t < w.last; t++) {
			const span = found.spans[t] as Span;
			const symbol = transcript.tokens[t]?.symbol ?? 0;
			for (let f = span.start; f < span.end; f++)
				sum += logp[f * symbols + symbol] ?? 0;
			count += span.end - span.start;
		}
		return {
			text: w.text,
			startFrame: found.spans[w.first]?.start ?? 0,
			endFrame: found.spans[w.last - 1]?.end ?? 0,
			score: sum / Math.max(1, count),
		};
	});
	refuseMisfit(words, secondsPerFrame);
	return { spans: found.spans, words, score: found.score };
}

function refuseMisfit(
	words: readonly AlignedWord[],
	secondsPerFrame: number,
): void {
	const misfits = words.filter((w) => w.score < WORD_FLOOR).length;
	let run: AlignedWord[] = [];
	let longest: AlignedWord[] = [];
	for (const w of words) {
		run = w.score < WORD_FLOOR ? [...run, w] : [];
		if (run.length > longest.length) longest = run;
	}
	if (longest.length < MISFIT_RUN && misfits <= MISFIT_SHARE * words.length)
		return;
	const time = (frame: number): string => {
		const s = frame * secondsPerFrame;
		return `${Math.floor(s / 60)}:${(s % 60).toFixed(1).padStart(4, "0")}`;
	};
	const [first, last] = [longest[0], longest.at(-1)];
	const where =
		first && last
			? `; worst from ${time(first.startFrame)} to ${time(last.endFrame)} at "${longest
					.slice(0, 8)
					.map((w) => w.text)
					.join(" ")}"`
			: "";
	throw new WattvoxError(
		"E_ALIGN",
		`the transcript does not fit the recording: ${misfits} of ${words.length} words are not heard where they should be${where}`,
	);
}
