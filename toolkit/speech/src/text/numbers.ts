const ONES = (
	"zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen " +
	"sixteen seventeen eighteen nineteen"
).split(" ");
const TENS = "- - twenty thirty forty fifty sixty seventy eighty ninety".split(
	" ",
);
const SCALES = (
	"- thousand million billion trillion quadrillion quintillion sextillion septillion octillion " +
	"nonillion decillion"
).split(" ");

const IRREGULAR_ORDINALS: Record<string, string> = {
	one: "first",
	two: "second",
	three: "third",
	five: "fifth",
	eight: "eighth",
	nine: "ninth",
	twelve: "twelfth",
};

function below1000(n: number): string {
	const words: string[] = [];
	if (n >= 100) words.push(ONES[Math.floor(n / 100)] as string, "hundred");
	const rest = n % 100;
	if (rest >= 20) {
		words.push(TENS[Math.floor(rest / 10)] as string);
		if (rest % 10) words.push(ONES[rest % 10] as string);
	} else if (rest > 0) words.push(ONES[rest] as string);
	return words.join(" ");
}

/** "0042" -> "zero zero four two". */
export function spellDigits(digits: string): string {
	return [...digits].map((d) => ONES[Number(d)]).join(" ");
}

/** A whole number's decimal digits in words; digit by digit beyond 36 of them. */
export function spellCardinal(digits: string): string {
	const trimmed = digits.replace(/^0+(?=\d)/, "");
	if (trimmed === "0") return "zero";
	if (trimmed.length > 3 * SCALES.length) return spellDigits(digits);
	const words: string[] = [];
	for (let end = trimmed.length, scale = 0; end > 0; end -= 3, scale++) {
		const group = Number(trimmed.slice(Math.max(0, end - 3), end));
		if (group === 0) continue;
		words.unshift(below1000(group) + (scale > 0 ? ` ${SCALES[scale]}` : ""));
	}
	return words.join(" ");
}

/** The ordinal of a whole number's digits: "21" -> "twenty first". */
export function spellOrdinal(digits: string): string {
	return toOrdinal(spellCardinal(digits));
}

/** A cardinal in words as an ordinal: "forty two" -> "forty second". */
export function toOrdinal(cardinal: string): string {
	return cardinal.replace(/[a-z]+$/, (last) => {
		const irregular = IRREGULAR_ORDINALS[last];
		if (irregular) return irregular;
		return last.endsWith("y") ? `${last.slice(0, -1)}ieth` : `${last}th`;
	});
}

/** A number of four digits read in pairs, as years are: "1905" -> "nineteen oh five". */
export function spellYear(digits: string): string {
	const n = Number(digits);
	if (digits.length !== 4 || n < 1000) return spellCardinal(digits);
	const high = Math.floor(n / 100);
	const low = n % 100;
	if (high % 10 === 0 && low < 10) return spellCardinal(digits);
	if (low === 0) return `${below1000(high)} hundred`;
	return `${below1000(high)} ${low < 10 ? `oh ${ONES[low]}` : below1000(low)}`;
}

/** A decade: "1990" -> "nineteen nineties", "80" -> "eighties", "2000" -> "two thousands". */
export function spellDecade(digits: string): string {
	return plural(
		digits.length === 4 ? spellYear(digits) : spellCardinal(digits),
	);
}

/** The last word in the plural: "ninety" -> "nineties", "six" -> "sixes". */
export function plural(words: string): string {
	if (/[^aeiou]y$/.test(words)) return `${words.slice(0, -1)}ies`;
	return /(?:s|x|z|ch|sh)$/.test(words) ? `${words}es` : `${words}s`;
}

/**
 * An unsigned number as written in English text: grouping commas, a decimal point, "1,234.50" ->
 * "one thousand two hundred thirty four point five zero". Leading zeros ("007") are read digit by digit, as
 * are whole numbers of more than twelve ungrouped digits, which are codes rather than amounts.
 */
export function spellNumber(text: string): string {
	const [whole = "", fraction] = text.split(".");
	const digits = whole.replaceAll(",", "");
	const code =
		/^0\d/.test(whole) || (digits.length > 12 && !whole.includes(","));
	const words =
		digits === "" ? "" : code ? spellDigits(digits) : spellCardinal(digits);
	if (fraction === undefined || fraction === "") return words;
	return `${words} point ${spellDigits(fraction)}`.trim();
}

const ROMAN_VALUES: Record<string, number> = {
	I: 1,
	V: 5,
	X: 10,
	L: 50,
	C: 100,
	D: 500,
	M: 1000,
};

/** Value of a well-formed Roman numeral in capitals, or undefined. */
export function parseRoman(text: string): number | undefined {
	if (
		!/^(?=.)M{0,3}(?:CM|CD|D?C{0,3})(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})$/.test(
			text,
		)
	)
		return undefined;
	let sum = 0;
	for (let i = 0; i < text.length; i++) {
		const value = ROMAN_VALUES[text[i] as string] as number;
		sum += value < (ROMAN_VALUES[text[i + 1] ?? ""] ?? 0) ? -value : value;
	}
	return sum;
}
