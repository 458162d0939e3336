import { WattvoxError } from "@wattvox/core";
import type { Token } from "./viterbi.ts";

/** A word as the text front end gives it. */
export interface SpokenWord {
	text: string;
	phones: readonly string[];
}

/** Tokens of a transcript, and which of them belong to which word. */
export interface TokenizedTranscript {
	tokens: Token[];
	/** [first, last) token of each word. */
	words: { text: string; first: number; last: number }[];
}

/**
 * Lays words out as tokens with an optional pause before, between and after them: a reader pauses where
 * no comma stands, and runs over commas.
 * @throws WattvoxError E_TEXT_SCRIPT when the base lacks a phone; E_TEXT_EMPTY
 */
export function transcriptTokens(
	words: readonly SpokenWord[],
	symbols: readonly string[],
	pause = "pau",
): TokenizedTranscript {
	const index = new Map(symbols.map((s, i) => [s, i]));
	const rest: Token = { symbol: index.get(pause) ?? 0, optional: true };
	const out: TokenizedTranscript = { tokens: [rest], words: [] };
	for (const word of words) {
		const first = out.tokens.length;
		for (const phone of word.phones) {
			if (phone === pause) continue;
			const symbol = index.get(phone);
			if (symbol === undefined)
				throw new WattvoxError(
					"E_TEXT_SCRIPT",
					`the base has no phone ${phone} (in "${word.text}")`,
				);
			out.tokens.push({ symbol, optional: false });
		}
		if (out.tokens.length === first) continue;
		out.words.push({ text: word.text, first, last: out.tokens.length });
		out.tokens.push(rest);
	}
	if (out.words.length === 0)
		throw new WattvoxError("E_TEXT_EMPTY", "the transcript has no words");
	return out;
}
