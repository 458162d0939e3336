import { WattvoxError } from "@wattvox/core";
import { splitSentences, toPhones } from "@wattvox/speech";

/** A sentence as a voice is to say it. */
export interface SpokenSentence {
	/** As written. */
	text: string;
	/** Symbols of the voice's set, with `pau` at both ends; empty when none of it can be said. */
	phones: readonly string[];
	/** Parts that cannot be pronounced and are left out. */
	skipped: readonly string[];
}

/** Text to sentences of phones, one after the other: the first must not wait for the last. */
export type Frontend = (
	text: string,
) => AsyncIterable<SpokenSentence> | Iterable<SpokenSentence>;

/**
 * The frontend of a language (a BCP 47 tag).
 * @throws WattvoxError E_TEXT_SCRIPT when there is none
 */
export function languageFrontend(language: string): Frontend {
	if (/^en(-|$)/i.test(language)) return english;
	throw new WattvoxError(
		"E_TEXT_SCRIPT",
		`a voice for language "${language}" cannot be spoken with; only English can`,
	);
}

/**
 * English, a sentence at a time. One that cannot be said is skipped and reported.
 * @throws WattvoxError E_TEXT_EMPTY, E_TEXT_SCRIPT, E_TEXT_UNPRONOUNCEABLE when that leaves nothing
 */
function* english(text: string): Generator<SpokenSentence> {
	let spoken = false;
	let refused: WattvoxError | undefined;
	for (const sentence of splitSentences(text)) {
		try {
			const { phones, skipped } = toPhones(sentence);
			spoken = true;
			yield { text: sentence, phones, skipped: skipped.map((s) => s.text) };
		} catch (thrown) {
			if (!(thrown instanceof WattvoxError) || !SKIPPABLE.has(thrown.code))
				throw thrown;
			refused ??= thrown;
			yield { text: sentence, phones: [], skipped: [sentence] };
		}
	}
	if (!spoken && refused) throw refused;
}

const SKIPPABLE: ReadonlySet<string> = new Set([
	"E_TEXT_EMPTY",
	"E_TEXT_SCRIPT",
	"E_TEXT_UNPRONOUNCEABLE",
]);
