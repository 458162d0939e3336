/** A sentence as a voice is to say it. */
export interface SpokenSentence {
	/** As written. */
	text: string;
	/** Symbols of the voice's set, with `pau` at both ends. */
	phones: readonly string[];
	/** Parts that cannot be pronounced and are left out. */
	skipped: readonly string[];
}

/** Text to sentences of phones, one after the other: the first must not wait for the last. */
export type Frontend = (
	text: string,
) => AsyncIterable<SpokenSentence> | Iterable<SpokenSentence>;
