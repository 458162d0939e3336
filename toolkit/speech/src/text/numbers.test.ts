import test from "ava";
import fc from "fast-check";
import {
	parseRoman,
	plural,
	spellCardinal,
	spellDecade,
	spellDigits,
	spellNumber,
	spellOrdinal,
	spellYear,
} from "./numbers.ts";

const cases = (
	title: string,
	say: (s: string) => string | undefined,
	table: Record<string, string>,
) => {
	for (const [input, want] of Object.entries(table))
		test(`${title}: ${input}`, (t) => t.is(say(input), want));
};

cases("cardinal", spellCardinal, {
	"0": "zero",
	"7": "seven",
	"13": "thirteen",
	"40": "forty",
	"99": "ninety nine",
	"100": "one hundred",
	"115": "one hundred fifteen",
	"1000": "one thousand",
	"1001": "one thousand one",
	"20000": "twenty thousand",
	"1000000": "one million",
	"1234567":
		"one million two hundred thirty four thousand five hundred sixty seven",
	"1000000000000": "one trillion",
	"00": "zero",
});

cases("ordinal", spellOrdinal, {
	"1": "first",
	"2": "second",
	"3": "third",
	"5": "fifth",
	"8": "eighth",
	"9": "ninth",
	"12": "twelfth",
	"20": "twentieth",
	"21": "twenty first",
	"100": "one hundredth",
	"1000": "one thousandth",
});

cases("year", spellYear, {
	"1984": "nineteen eighty four",
	"1905": "nineteen oh five",
	"1900": "nineteen hundred",
	"2000": "two thousand",
	"2005": "two thousand five",
	"2024": "twenty twenty four",
	"1066": "ten sixty six",
	"800": "eight hundred",
});

cases("decade", spellDecade, {
	"1990": "nineteen nineties",
	"80": "eighties",
	"2000": "two thousands",
	"2010": "twenty tens",
});

cases("number", spellNumber, {
	"1,234.50": "one thousand two hundred thirty four point five zero",
	"007": "zero zero seven",
	".5": "point five",
	"3.14": "three point one four",
	"1234567890123":
		"one two three four five six seven eight nine zero one two three",
});

test("plurals of number words", (t) => {
	t.deepEqual(["ninety", "six", "hundred", "day"].map(plural), [
		"nineties",
		"sixes",
		"hundreds",
		"days",
	]);
});

/** Reads a cardinal back, so that spelling is checked against an inverse of its own. */
function unspell(words: string): number {
	const small =
		"zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen".split(
			" ",
		);
	const tens = "twenty thirty forty fifty sixty seventy eighty ninety".split(
		" ",
	);
	const scales = ["thousand", "million", "billion", "trillion"];
	let total = 0;
	let group = 0;
	for (const w of words.split(" ")) {
		if (small.includes(w)) group += small.indexOf(w);
		else if (tens.includes(w)) group += 10 * (tens.indexOf(w) + 2);
		else if (w === "hundred") group *= 100;
		else {
			total += group * 1000 ** (scales.indexOf(w) + 1);
			group = 0;
		}
	}
	return total + group;
}

test("every cardinal reads back as its number", (t) => {
	fc.assert(
		fc.property(fc.nat({ max: 10 ** 15 - 1 }), (n) => {
			t.is(unspell(spellCardinal(String(n))), n);
		}),
		{ numRuns: 500 },
	);
});

test("ordinals differ from cardinals in the last word alone; digits are one word each", (t) => {
	fc.assert(
		fc.property(fc.nat(), (n) => {
			const cardinal = spellCardinal(String(n)).split(" ");
			const ordinal = spellOrdinal(String(n)).split(" ");
			t.deepEqual(ordinal.slice(0, -1), cardinal.slice(0, -1));
			t.not(ordinal.at(-1), cardinal.at(-1));
			t.is(spellDigits(String(n)).split(" ").length, String(n).length);
		}),
	);
});

test("Roman numerals: well-formed ones alone", (t) => {
	const table: Record<string, number | undefined> = {
		I: 1,
		IV: 4,
		VIII: 8,
		XIV: 14,
		XL: 40,
		XCIX: 99,
		MCMXCIV: 1994,
		IIII: undefined,
		VX: undefined,
		IC: undefined,
		"": undefined,
		A: undefined,
	};
	for (const [roman, want] of Object.entries(table))
		t.is(parseRoman(roman), want, roman);
});
