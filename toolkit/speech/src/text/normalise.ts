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
		/(?<![\w.])(\d[\d,]*)(?:st|nd|rd|th)\b/gi,
		(_, n: string) => spellOrdinal(n.replaceAll(",", "")),
	);
}

/** Signs between numbers, whose meaning depends on both sides. */
function expandRelations(text: string): string {
	const sums = /=/.test(text);
	return text
		.replace(/(?<=\d) (\d{3})(?= \d{3}\b|(?=\D|$))/g, ",$1")
		.replace(/(\d)\s?[x×]\s?(?=\d)/g, sums ? "$1 times " : "$1 by ")
		.replace(
			/(?<=\d) ?(?:ft|feet|foot) (\d+) ?in\b(?:\.(?= ))?/g,
			" feet $1 inches",
		)
		.replace(/(?<=\d)\s?°\s(?=[CF]\b)/g, "°")
		.replace(/(\d)[x×](?!\w)/g, "$1 times")
		.replace(
			/(\d+)'\s?(\d{1,2})(?:"|'')/g,
			(_, f: string, i: string) =>
				`${spellCardinal(f)} foot ${spellCardinal(i)}`,
		)
		.replace(/(\d)"(?=\s|$)/g, "$1 inches")
		.replace(/(?<![\d.:])(\d{1,2}):(\d{1,2})(?![\d:])/g, "$1 to $2")
		.replace(/(?<=\d) - (?=\d)/g, sums ? " minus " : " to ")
		.replace(
			/(?<![\w-])(\d[\d.,]*%?)[-–—](?=\d[\d.,]*(?:[^\w-]|[a-zA-Z°%]|$)(?!-\d))/g,
			"$1 to ",
		)
		.replace(/(^|[\s(=<>])-\s?(?=[\d.])/g, "$1minus ")
		.replace(/(?<=\d) \* (?=\d)/g, " times ")
		.replace(/(?<=[\d\w] )\/(?= [\d\w])/g, sums ? "divided by" : "slash")
		.replace(/~ ?(?=\d)/g, "about ")
		.replace(/(?<=\s|^)<=?\s?(?=\d)/g, (m) =>
			m.includes("=") ? "less than or equal to " : "less than ",
		)
		.replace(/(?<=\s|^)>=?\s?(?=\d)/g, (m) =>
			m.includes("=") ? "greater than or equal to " : "greater than ",
		);
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
			/(\d[\d,]*(?:\.\d+)?|\.\d+)(?:\s(hundred|thousand|million|billion|trillion))?\s?(%|‰)/g,
			(_, n: string, scale: string | undefined, sign: string) =>
				`${spellNumber(n)}${scale ? ` ${scale}` : ""} ${NAMED[sign]}`,
		)
		.replace(/\d+(?:,\d{3})*(?:\.\d+)?|\.\d+/g, (n) => ` ${spellNumber(n)} `);
}

function expandSigns(text: string): string {
	return text
		.replace(/(?<=^|\s)#(?=[A-Za-z])/g, "hashtag ")
		.replace(/(?<=[A-Za-z])\/(?=[A-Za-z])/g, " slash ")
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
		expandAddresses,
		expandPhones,
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
