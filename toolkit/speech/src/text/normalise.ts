import { expandAbbreviations, expandRoman } from "./abbreviations.ts";
import {
	expandDates,
	expandDays,
	expandDecades,
	expandTimes,
	expandYears,
} from "./dates.ts";
import { expandMoney } from "./money.ts";
import {
	spellCardinal,
	spellNumber,
	spellOrdinal,
	spellYear,
} from "./numbers.ts";
import { NAMED, screen } from "./script.ts";
import { splitSentences } from "./sentences.ts";
import { expandUnits } from "./units.ts";
import { expandAddresses, expandPhones } from "./web.ts";

const VULGAR: Record<string, string> = {
	"½": "1/2",
	"⅓": "1/3",
	"⅔": "2/3",
	"¼": "1/4",
	"¾": "3/4",
	"⅕": "1/5",
	"⅖": "2/5",
	"⅗": "3/5",
	"⅘": "4/5",
	"⅙": "1/6",
	"⅚": "5/6",
	"⅛": "1/8",
	"⅜": "3/8",
	"⅝": "5/8",
	"⅞": "7/8",
};

function fraction(top: string, bottom: string): string {
	const one = top === "1";
	const part =
		bottom === "2"
			? one
				? "half"
				: "halves"
			: bottom === "4"
				? "quarter"
				: spellOrdinal(bottom);
	return `${spellCardinal(top)} ${part}${one || bottom === "2" ? "" : "s"}`;
}

function expandFractions(text: string): string {
	return text
		.replace(
			/(\d?)([½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞])/g,
			(_, d: string, f: string) => `${d ? `${d} ` : ""}${VULGAR[f]}`,
		)
		.replace(/(?<=\d\/\d{1,2})"/g, " inch")
		.replace(/\b50\/50\b/g, "fifty fifty")
		.replace(/\b24\/7\b/g, "twenty four seven")
		.replace(/\b9\/11\b/g, "nine eleven")
		.replace(
			/(?<![\w./])(?:(\d+) )?(\d{1,2})\/(\d{1,3})(?![\w/]|\.\d)/g,
			(_, n: string | undefined, a: string, b: string) => {
				const usual =
					Number(b) > 1 &&
					Number(a) < Number(b) &&
					(Number(b) <= 20 || /^(?:32|64|100)$/.test(b));
				if (!usual || a === "0")
					return `${n ? `${spellCardinal(n)} ` : ""}${spellCardinal(a)} over ${spellCardinal(b)}`;
				if (n === undefined) return fraction(a, b);
				return a === "1" && b === "2"
					? `${spellCardinal(n)} and a half`
					: `${spellCardinal(n)} and ${fraction(a, b)}`;
			},
		);
}

function expandOrdinals(text: string): string {
	return text.replace(
		/(?<![\w.])(\d[\d,]*)(?:st|nd|rd|th| th)\b/gi,
		(_, n: string) => spellOrdinal(n.replaceAll(",", "")),
	);
}

/** "a<b", "x >= 3", "(<5"; a quotation's ">" at the start of a line compares nothing. */
const COMPARED =
	/(?:(?<=[\w)] ?)[<>]=? ?(?=[\w.(-])|(?<=^|[\s(])[<>]=? ?(?=[\d.-]))/g;

/** Signs between numbers, whose meaning depends on both sides. */
function expandRelations(text: string): string {
	const sums = /=/.test(text);
	return (
		text
			.replace(/(?<=\d) (\d{3})(?= \d{3}\b|(?=\D|$))/g, ",$1")
			.replace(/(?<=\d)['_](?=\d{3}(?:['_]\d{3})*(?!\d))/g, "")
			.replace(/\b0[xX](?=[\da-fA-F]+\b)/g, "zero x ")
			.replace(/(?<=\d)e-(?=\d)/g, " e minus ")
			.replace(/(?<=\d)\s?[x×]\s?(?=10\^)/g, " times ")
			.replace(
				/(?<=\w)\^\(?(-?\d+)\)?/g,
				(_, n: string) =>
					({ 2: " squared", 3: " cubed" })[n] ?? ` to the power of ${n}`,
			)
			.replace(/(\d)\s?[x×]\s?(?=\d)/g, sums ? "$1 times " : "$1 by ")
			.replace(
				/(?<=\d) ?(?:ft|feet|foot) (\d+) ?in\b(?:\.(?= ))?/g,
				" feet $1 inches",
			)
			.replace(/(?<=\d)\s?°\s(?=[CF]\b)/g, "°")
			.replace(/(\d)[x×](?!\w)/g, "$1 times")
			.replace(
				/(?<![\w.,'])(\d{1,3})'\s?(\d{1,2})(?:"|'')?(?![\w'])/g,
				(_, f: string, i: string) =>
					`${spellCardinal(f)} foot ${spellCardinal(i)}`,
			)
			// Not the end of a quotation: one that begins before the number has its mark after a space.
			.replace(/(?<!(?:^|[\s(])"[^"]*)(?<=\d)"(?=[\s.,;:!?)]|$)/g, " inches")
			.replace(/(?<!(?:^|[\s(])'[^']*)(?<=\d)'(?=[\s.,;:!?)]|$)/g, " feet")
			.replace(/(?<![\d.:])(\d{1,3}):(\d{1,5})(?![\d:])/g, "$1 to $2")
			.replace(/(?<=\d) - (?=\d)/g, sums ? " minus " : " to ")
			.replace(
				/(?<![\w-])(\d[\d.,]*%?)[-–—](?=\d[\d.,]*(?:[^\w-]|[a-zA-Z°%]|$)(?!-\d))/g,
				"$1 to ",
			)
			.replace(/(^|[\s(=<>])(?:-\s?|–)(?=\.?\d)/g, "$1minus ")
			.replace(/(?<=\d) \* (?=\d)/g, " times ")
			.replace(
				/(?<=(?<![\w*])(?:\d+|[A-Za-z]))\*(?=(?:\d+|[A-Za-z])(?![\w*]))/g,
				" times ",
			)
			.replace(/(?<=[\d\w] )\/(?= [\d\w])/g, sums ? "divided by" : "slash")
			.replace(/~ ?(?=\d)/g, "about ")
			.replace(/[-=]>/g, " to ")
			.replace(COMPARED, (found) => {
				const [sign, or] = found.trim();
				const than = sign === "<" ? "less than" : "greater than";
				return ` ${than}${or === "=" ? " or equal to" : ""} `;
			})
	);
}

/** "$5/day", "100/month": a quantity for each of something. */
function expandRates(text: string): string {
	return text.replace(
		/(?<=\d[a-zA-Z]?)\s?\/\s?(second|minute|hour|hr|day|night|week|wk|month|mo|year|yr|person|head|piece|page|item)\b/g,
		(_, of: string) =>
			` per ${{ hr: "hour", wk: "week", mo: "month", yr: "year" }[of] ?? of}`,
	);
}

/** Marks of formatting that stand for no words: tags, and a list's or a quotation's sign. */
function dropMarkup(text: string): string {
	return text
		.replace(/<\/?[A-Za-z][\w-]*(?:\s+[\w-]+=[^<>]*)?\s?\/?>/g, " ")
		.replace(/^\s*>+\s(?!\d)/, "");
}

/** Letters and digits that touch: "GPT-4", "H200", "x86", "4K", "MP3". */
function expandMixed(text: string): string {
	return text
		.replace(/([A-Za-z])-(?=\d)/g, "$1 ")
		.replace(/(\d)-(?=[A-Za-z])/g, "$1 ")
		.replace(/(?<=[A-Za-z])\d{4}(?!\d)/g, (n) => ` ${spellYear(n)}`)
		.replace(/([A-Za-z])(?=\d)/g, "$1 ")
		.replace(/(\d)(?=[A-Za-z])/g, "$1 ");
}

function expandNumbers(text: string): string {
	return text
		.replace(
			/(\d+(?:,\d{3})*(?:\.\d+)?|\.\d+)(?:\s(hundred|thousand|million|billion|trillion))?\s?(%|‰)/g,
			(_, n: string, scale: string | undefined, sign: string) =>
				` ${spellNumber(n)}${scale ? ` ${scale}` : ""} ${NAMED[sign]}`,
		)
		.replace(/\d+(?:,\d{3})*(?:\.\d+)?|\.\d+/g, (n) => ` ${spellNumber(n)} `);
}

function expandSigns(text: string): string {
	return text
		.replace(/(?<=^|\s)#(?=[A-Za-z])/g, "hashtag ")
		.replace(/(?<=\w)\s*\/\s*(?=\w)/g, " slash ")
		.replace(/(?<=[\w:])\\(?=\w)/g, " backslash ")
		.replace(/(?<=\bC)#/g, " sharp")
		.replace(/\+\+/g, " plus plus ")
		.replace(/[_*^\\{}<>~]/g, " ")
		.replace(/[–—|•·]+|\s-+\s|--+/g, ", ")
		.replace(/[^\s\w.,;:!?'"()[\]-]/gu, (sign) =>
			NAMED[sign] ? ` ${NAMED[sign]} ` : " ",
		);
}

function tidy(text: string): string {
	return text
		.replace(/\s+/g, " ")
		.replace(/\s+(?=[.,;:!?)\]])/g, "")
		.replace(/(?<=[([])\s+/g, "")
		.replace(/(?<=^|\s)'\s+(?=\w)/g, "")
		.replace(/(?:,\s*)+([.!?;:])/g, "$1")
		.replace(/,(?:\s*,)+/g, ",")
		.replace(/^[\s,;:]+/, "")
		.trim();
}

/** One sentence in words: see {@link normalise}. The text has passed {@link screen}. */
export function normaliseSentence(sentence: string): string {
	let text = sentence
		.replace(/[\u00a0\u2000-\u200a\u202f]/g, " ")
		.replace(/\s+/g, " ");
	for (const step of [
		dropMarkup,
		expandAddresses,
		expandPhones,
		expandRates,
		expandMoney,
		expandDays,
		expandDates,
		expandTimes,
		expandDecades,
		expandFractions,
		expandAbbreviations,
		expandRoman,
		expandRelations,
		expandUnits,
		expandOrdinals,
		expandYears,
	])
		text = step(text);
	return tidy(
		expandSigns(
			expandNumbers(expandMixed(text.replace(/#\s?(?=\d)/g, "number "))),
		),
	);
}

/**
 * English text as it is spoken: numbers, dates, times, money, units, abbreviations, addresses and signs in
 * words; punctuation that makes a pause stays. What English cannot say is left out: `toPhones` reports it.
 */
export function normalise(text: string): string {
	return splitSentences(screen(text).text).map(normaliseSentence).join(" ");
}
