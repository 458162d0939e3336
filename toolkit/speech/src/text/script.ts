/** Text that cannot be spoken and was left out. */
export interface Skipped {
	/** What was left out. */
	text: string;
	/** Where it starts in the original text, in UTF-16 code units. */
	index: number;
	/** Why, for a person to read. */
	why: string;
}

/** What English can say of a text: the rest is replaced by spaces. */
export interface Screened {
	text: string;
	skipped: Skipped[];
	/** Letters that English can read, and letters that it cannot. */
	readable: number;
	foreign: number;
}

const SCRIPTS = (
	"Han Hiragana Katakana Hangul Cyrillic Greek Arabic Hebrew Devanagari Bengali Tamil Telugu Thai " +
	"Armenian Georgian Ethiopic Khmer Lao Myanmar Sinhala Gujarati Gurmukhi Kannada Malayalam Tibetan Mongolian"
)
	.split(" ")
	.map((name) => [name, new RegExp(`\\p{Script=${name}}`, "u")] as const);

/** Letters that do not decompose into a Latin letter and a mark. */
const LETTERS: Record<string, string> = {
	ß: "ss",
	ẞ: "SS",
	æ: "ae",
	Æ: "AE",
	œ: "oe",
	Œ: "OE",
	ø: "o",
	Ø: "O",
	ł: "l",
	Ł: "L",
	đ: "d",
	Đ: "D",
	ð: "th",
	Ð: "Th",
	þ: "th",
	Þ: "Th",
	ı: "i",
	ħ: "h",
	ŋ: "ng",
	"’": "'",
	"‘": "'",
	ʼ: "'",
	"`": "'",
	"´": "'",
	"“": '"',
	"”": '"',
	"„": '"',
	"«": '"',
	"»": '"',
	"‐": "-",
	"‑": "-",
	"−": "-",
	"…": "...",
	"。": ". ",
	"，": ", ",
	"、": ", ",
	"！": "! ",
	"？": "? ",
	"；": "; ",
	"：": ": ",
	µ: "μ",
	"′": "'",
	"″": '"',
	"℃": "°C",
	"℉": "°F",
	"№": "No. ",
	"㎏": "kg",
	"㎞": "km",
	"㎝": "cm",
	"㎜": "mm",
};

/** Signs and letters that later steps give a name to. */
export const NAMED: Record<string, string> = {
	"&": "and",
	"@": "at",
	"#": "number",
	"+": "plus",
	"=": "equals",
	"%": "percent",
	"‰": "per mille",
	$: "dollar",
	"£": "pound",
	"€": "euro",
	"¥": "yen",
	"₹": "rupee",
	"₩": "won",
	"₽": "rouble",
	"₿": "bitcoin",
	"¢": "cent",
	"°": "degrees",
	"×": "times",
	"÷": "divided by",
	"±": "plus or minus",
	"≈": "approximately",
	"≠": "does not equal",
	"≤": "less than or equal to",
	"≥": "greater than or equal to",
	"→": "to",
	"∞": "infinity",
	"√": "square root of",
	"§": "section",
	"©": "copyright",
	"®": "registered",
	"™": "trademark",
	"²": "squared",
	"³": "cubed",
	Ω: "ohm",
	α: "alpha",
	β: "beta",
	γ: "gamma",
	δ: "delta",
	Δ: "delta",
	ε: "epsilon",
	θ: "theta",
	λ: "lambda",
	μ: "mu",
	π: "pi",
	σ: "sigma",
	Σ: "sigma",
	τ: "tau",
	φ: "phi",
	ω: "omega",
};

const FRACTIONS = /[½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞]/u;
/** Punctuation and layout that is read as a pause or passed over; nothing is lost with it. */
const SILENT = /[\s\p{P}\p{Cf}\p{Cc}|<>~^•·◦▪■–—⁄]/u;

/** Faces made of punctuation; a word of their own, or they are a list's colon and bracket. */
const EMOTICON =
	/(?<=^|\s)(?:[:;]['’]?-?[()DPpOo|/\\*]|<\/?3|\^_?\^|[xX]D|-_-)(?=$|[\s.,!?])/g;

function why(char: string): string {
	if (
		/[\p{Extended_Pictographic}\p{Regional_Indicator}\p{Emoji_Modifier}]/u.test(
			char,
		)
	)
		return "emoji";
	const script = SCRIPTS.find(([, test]) => test.test(char));
	if (script) return `${script[0]} script`;
	if (/\p{L}/u.test(char)) return "letter that English does not use";
	if (/\p{N}/u.test(char)) return "digit that English does not use";
	return "sign without a spoken name";
}

/** The Latin letters, digits and marks that a character stands for; undefined when English cannot say it. */
function latin(char: string): string | undefined {
	if (char >= " " && char <= "~") return LETTERS[char] ?? char;
	const letter = LETTERS[char];
	if (letter !== undefined) return letter;
	if (FRACTIONS.test(char) || NAMED[char] !== undefined) return char;
	if (/\p{M}/u.test(char)) return "";
	// Compatibility forms (full-width, ligatures) and accented letters come apart; their marks go.
	const plain = char.normalize("NFKD").replace(/\p{M}/gu, "");
	if (/^[\x20-\x7e]+$/.test(plain) && /[\p{L}\p{N}]/u.test(char)) return plain;
	if (SILENT.test(char)) return /\p{Cf}/u.test(char) ? "" : char;
	return undefined;
}

/**
 * Split a text into what English can say and what it cannot. Greek letters stand for themselves one at a
 * time ("5 μm", "π") and are a foreign script in words.
 */
export function screen(text: string): Screened {
	const skipped: Skipped[] = [];
	let out = "";
	let readable = 0;
	let foreign = 0;
	const greek = new Set<number>();
	for (const word of text.matchAll(/\p{Script=Greek}{2,}/gu))
		for (let i = 0; i < word[0].length; i++) greek.add(word.index + i);
	const faces = new Set<number>();
	for (const face of text.matchAll(EMOTICON))
		for (let i = 0; i < face[0].length; i++) faces.add(face.index + i);
	let index = 0;
	for (const char of text) {
		const face = faces.has(index);
		const said = face || greek.has(index) ? undefined : latin(char);
		if (said !== undefined) {
			if (/\p{L}/u.test(char)) readable++;
			out += said;
		} else {
			if (!face && /\p{L}/u.test(char)) foreign++;
			const last = skipped.at(-1);
			const reason = face ? "emoticon" : why(char);
			if (
				last &&
				last.index + last.text.length === index &&
				last.why === reason
			)
				last.text += char;
			else skipped.push({ text: char, index, why: reason });
			out += " ";
		}
		index += char.length;
	}
	return { text: out, skipped, readable, foreign };
}
