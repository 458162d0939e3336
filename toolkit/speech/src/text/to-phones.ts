import { WattvoxError } from "@wattvox/core";
import { type Context, homograph } from "./homographs.ts";
import { normaliseSentence } from "./normalise.ts";
import { isVowel, PAUSE } from "./phones.ts";
import { Pronouncer, type Source, spellLetters } from "./pronounce.ts";
import { type Skipped, screen } from "./script.ts";
import { splitSentences } from "./sentences.ts";

/** A spoken word. */
export interface SpokenWord {
	/** The word after normalisation, as written there ("GPU", "twenty"). */
	text: string;
	phones: string[];
	/** Index of its first phone in the whole phone string. */
	start: number;
	/** Where the pronunciation comes from; "rules" and "compound" are guesses. */
	source: Source;
}

/** A spoken sentence. */
export interface SpokenSentence {
	/** Its text after normalisation. */
	text: string;
	/** Its phones are `phones.slice(start, end)`, the pauses at both ends included. */
	start: number;
	end: number;
}

/** A text as phones. */
export interface Spoken {
	/** Phones in order; starts and ends with `pau`, and one `pau` stands between sentences. */
	phones: string[];
	words: SpokenWord[];
	sentences: SpokenSentence[];
	/** What could not be said. */
	skipped: Skipped[];
}

let shared: Pronouncer | undefined;

/** The shared pronouncer, read from disk at first use. */
function pronouncer(): Pronouncer {
	shared ??= Pronouncer.open();
	return shared;
}

const TOKEN = /[A-Za-z']*[A-Za-z][A-Za-z']*|[.,;:!?()[\]]+/g;

/** Apostrophes at the ends are quotation marks, but in a few words and after a plural's s. */
function trimQuotes(token: string): string {
	if (/^'(?:em|til|tis|twas|cause|bout|round|n|kay)$/i.test(token))
		return token;
	return token
		.replace(/^'+/, "")
		.replace(/'+$/, (quotes, at: number) =>
			/s/i.test(token[at - 1] ?? "") ? (quotes[0] ?? "") : "",
		);
}

/** "iPhone", "JavaScript" and "macOS" come apart at their capitals when no dictionary has them whole. */
function parts(token: string, dictionary: Pronouncer): string[] {
	if (!/[a-z][A-Z]/.test(token) || /^(?:Mc|Mac|O')[A-Z][a-z]+$/.test(token))
		return [token];
	if (dictionary.word(token.toLowerCase()).source === "lexicon") return [token];
	if (/^[A-Z]{2,}'?s$/.test(token)) return [token];
	return token.split(/(?<=[a-z])(?=[A-Z])/);
}

interface Token {
	word: string;
	/** A pause comes before this word. */
	pause: boolean;
}

function tokens(sentence: string, dictionary: Pronouncer): Token[] {
	const list: Token[] = [];
	let pause = false;
	for (const [found] of sentence.matchAll(TOKEN)) {
		if (!/[A-Za-z]/.test(found)) {
			pause ||= list.length > 0;
			continue;
		}
		const word = trimQuotes(found);
		for (const part of parts(word, dictionary)) {
			list.push({ word: part, pause });
			pause = false;
		}
	}
	return list;
}

/** The article where a letter could stand: "A dog", but "plan A", "A I", "U S A". */
function isArticle(
	word: string,
	previous: string | undefined,
	next: string | undefined,
): boolean {
	if (word === "a") return true;
	return (
		word === "A" &&
		previous === undefined &&
		next !== undefined &&
		!/^(?:[A-Z]|and|or|slash|plus)$/.test(next)
	);
}

function speakSentence(
	sentence: string,
	start: number,
): { words: SpokenWord[]; phones: string[] } {
	const dictionary = pronouncer();
	const list = tokens(sentence, dictionary);
	// One word in capitals is an abbreviation; a sentence of them is someone shouting.
	const shouted =
		!/[a-z]/.test(sentence) && list.filter((t) => t.word.length > 3).length > 1;
	const phones: string[] = [PAUSE];
	const words: SpokenWord[] = [];
	for (const [i, { word, pause }] of list.entries()) {
		if (pause) phones.push(PAUSE);
		const previous = list[i - 1]?.word;
		const next = list[i + 1]?.word;
		const context: Context = {
			previous: pause ? "" : (previous ?? "").toLowerCase(),
			next: (next ?? "").toLowerCase(),
		};
		let said: { phones: string[]; source: Source };
		const known = homograph(word.toLowerCase(), context);
		if (known) said = { phones: known, source: "lexicon" };
		else if (isArticle(word, previous, next))
			said = { phones: ["ax"], source: "lexicon" };
		else if (word === "A")
			said = { phones: spellLetters(word), source: "letters" };
		else said = dictionary.word(word, shouted);
		// Whatever the rules make of it, a word of the text is heard.
		if (said.phones.length === 0)
			said = {
				phones: spellLetters(word.replace(/[^A-Za-z]/g, "")),
				source: "letters",
			};
		words.push({
			text: word,
			phones: said.phones,
			start: start + phones.length,
			source: said.source,
		});
		phones.push(...said.phones);
	}
	// "the" is "thee" before a vowel.
	for (const [i, word] of words.entries()) {
		const next = words[i + 1];
		const adjoining = next && next.start === word.start + word.phones.length;
		if (
			adjoining &&
			word.text.toLowerCase() === "the" &&
			isVowel(next.phones[0] as string)
		) {
			word.phones = ["dh", "iy"];
			phones[word.start - start + 1] = "iy";
		}
	}
	phones.push(PAUSE);
	return { words, phones };
}

/**
 * English text to phones. Numbers, dates, abbreviations and so on are spelled out first ({@link normalise});
 * words are looked up in CMUdict, then taken apart, then guessed letter by letter.
 * @throws WattvoxError E_TEXT_EMPTY: nothing to say; E_TEXT_SCRIPT: most letters are of a script that
 * English does not use; E_TEXT_UNPRONOUNCEABLE: there is text, but none of it can be said.
 */
export function toPhones(text: string): Spoken {
	const { text: readable, skipped, readable: ours, foreign } = screen(text);
	if (foreign > ours) {
		const example = skipped.find((s) => /\p{L}/u.test(s.text));
		throw new WattvoxError(
			"E_TEXT_SCRIPT",
			`most of the text is in a script that English cannot speak (${example?.why}: ${JSON.stringify(example?.text.slice(0, 20))})`,
		);
	}
	const spoken: Spoken = { phones: [PAUSE], words: [], sentences: [], skipped };
	for (const sentence of splitSentences(readable)) {
		const normal = normaliseSentence(sentence);
		const start = spoken.phones.length - 1;
		const { words, phones } = speakSentence(normal, start);
		if (words.length === 0) continue;
		spoken.phones.push(...phones.slice(1));
		spoken.words.push(...words);
		spoken.sentences.push({ text: normal, start, end: spoken.phones.length });
	}
	if (spoken.words.length > 0) return spoken;
	if (skipped.length === 0)
		throw new WattvoxError("E_TEXT_EMPTY", "there is no text to speak");
	const list = skipped
		.slice(0, 5)
		.map((s) => `${JSON.stringify(s.text)} (${s.why})`);
	throw new WattvoxError(
		"E_TEXT_UNPRONOUNCEABLE",
		`nothing in the text can be spoken: ${list.join(", ")}`,
	);
}
