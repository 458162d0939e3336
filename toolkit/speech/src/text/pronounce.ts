import { LetterToSound } from "./letter-to-sound.ts";
import { Lexicon } from "./lexicon.ts";
import { isSibilant, isVoiceless } from "./phones.ts";

const LETTERS: Record<string, string> = {
	a: "ey",
	b: "b iy",
	c: "s iy",
	d: "d iy",
	e: "iy",
	f: "eh f",
	g: "jh iy",
	h: "ey ch",
	i: "ay",
	j: "jh ey",
	k: "k ey",
	l: "eh l",
	m: "eh m",
	n: "eh n",
	o: "ow",
	p: "p iy",
	q: "k y uw",
	r: "aa r",
	s: "eh s",
	t: "t iy",
	u: "y uw",
	v: "v iy",
	w: "d ah b ax l y uw",
	x: "eh k s",
	y: "w ay",
	z: "z iy",
};

/** Words of two capitals that are words even so, in a text that is not all capitals. */
const SHORT_WORDS = new Set(
	"OK NO SO MY WE GO UP ON IN OF TO DO IF IS AS AT BY HE ME OR AN BE AM OH HI AH YO HA HM".split(
		" ",
	),
);
/** In capitals these are letters, whatever the dictionary's word is. */
const SPELLED = new Set("WHO CIA IRS ATM SOS LED".split(" "));
/** Said as words though the dictionary lacks them. */
const SPOKEN: Record<string, string> = {
	ONNX: "aa n ih k s",
	LORA: "l ao r ax",
	CUDA: "k uw d ax",
	RAM: "r ae m",
	ROM: "r aa m",
	SQL: "s iy k w ax l",
	JPEG: "jh ey p eh g",
	GIF: "g ih f",
	YAML: "y ae m ax l",
	JSON: "jh ey s ax n",
	LIDAR: "l ay d aa r",
	NASA: "n ae s ax",
	NATO: "n ey t ow",
	UNESCO: "y uw n eh s k ow",
	COVID: "k ow v ih d",
	LASER: "l ey z er",
	WIFI: "w ay f ay",
};

/** How a word's phones were found; the guesses are the last two. */
export type Source = "letters" | "lexicon" | "affix" | "compound" | "rules";

/** A word's pronunciation and where it comes from. */
export interface Pronunciation {
	phones: string[];
	source: Source;
}

/** The names of letters: "GPU" -> jh iy p iy y uw. */
export function spellLetters(word: string): string[] {
	return [...word.toLowerCase()].flatMap((c) => LETTERS[c]?.split(" ") ?? []);
}

/** The plural's, third person's or possessive's ending after a stem. */
function withS(stem: readonly string[]): string[] {
	const last = stem.at(-1) ?? "";
	return [
		...stem,
		...(isSibilant(last) ? ["ih", "z"] : isVoiceless(last) ? ["s"] : ["z"]),
	];
}

/** The past's ending after a stem. */
function withD(stem: readonly string[]): string[] {
	const last = stem.at(-1) ?? "";
	return [
		...stem,
		...(/^[td]$/.test(last) ? ["ih", "d"] : isVoiceless(last) ? ["t"] : ["d"]),
	];
}

interface Suffix {
	ending: RegExp;
	/** Endings that the stem may have had. */
	stems: readonly string[];
	join: (stem: readonly string[]) => string[];
}

const after =
	(phones: string) =>
	(stem: readonly string[]): string[] => [...stem, ...phones.split(" ")];

const SUFFIXES: readonly Suffix[] = [
	{ ending: /(?<=[^aeiou])ies$/, stems: ["y"], join: withS },
	{ ending: /(?<=(?:s|x|z|ch|sh|o))es$/, stems: ["", "e"], join: withS },
	{ ending: /(?<=[^su])s$/, stems: [""], join: withS },
	{ ending: /(?<=[^aeiou])ied$/, stems: ["y"], join: withD },
	{ ending: /([bdfgklmnprtvz])\1ed$/, stems: ["$1"], join: withD },
	{ ending: /ed$/, stems: ["", "e"], join: withD },
	{ ending: /([bdfgklmnprtvz])\1ing$/, stems: ["$1"], join: after("ih ng") },
	{ ending: /ing$/, stems: ["", "e"], join: after("ih ng") },
	{ ending: /([bdfgklmnprtvz])\1er$/, stems: ["$1"], join: after("er") },
	{ ending: /er$/, stems: ["", "e"], join: after("er") },
	{ ending: /ly$/, stems: [""], join: after("l iy") },
	{ ending: /ness$/, stems: [""], join: after("n ax s") },
	{ ending: /less$/, stems: [""], join: after("l ax s") },
	{ ending: /ful$/, stems: [""], join: after("f ax l") },
	{ ending: /ment$/, stems: [""], join: after("m ax n t") },
	{ ending: /ship$/, stems: [""], join: after("sh ih p") },
	{ ending: /able$/, stems: ["", "e"], join: after("ax b ax l") },
];

const PREFIXES: Record<string, string> = {
	un: "ax n",
	re: "r iy",
	non: "n aa n",
	over: "ow v er",
	under: "ah n d er",
	out: "aw t",
	super: "s uw p er",
	anti: "ae n t iy",
	micro: "m ay k r ow",
	multi: "m ah l t iy",
	inter: "ih n t er",
	pre: "p r iy",
	mis: "m ih s",
	sub: "s ah b",
	cyber: "s ay b er",
};

/** Finds any word's phones: dictionary first, then its parts, then letter by letter. */
export class Pronouncer {
	readonly #lexicon: Lexicon;
	readonly #rules: LetterToSound;

	constructor(lexicon: Lexicon, rules: LetterToSound) {
		this.#lexicon = lexicon;
		this.#rules = rules;
	}

	/** With the dictionary and the rules that ship with this package (read from disk here). */
	static open(): Pronouncer {
		return new Pronouncer(Lexicon.open(), LetterToSound.open());
	}

	/**
	 * @param word letters and apostrophes; capitals tell abbreviations from words.
	 * @param shouted the whole sentence is in capitals, so they tell nothing.
	 */
	word(word: string, shouted = false): Pronunciation {
		const capitals = shouted ? undefined : this.#capitals(word);
		if (capitals) return capitals;
		const lower = word.toLowerCase();
		// Surnames look like compounds and are not: "Falkenberg", "Framingham".
		const name = !shouted && /^[A-Z]/.test(word);
		const found = this.#find(lower, name);
		if (found) return found;
		const bare = lower.replaceAll("'", "");
		return (
			this.#known(bare, name) ?? {
				phones: this.#rules.phones(bare),
				source: "rules",
			}
		);
	}

	/** Abbreviations in capitals: "GPU", "GPUs", "NASA's", "McDonald" is not one. */
	#capitals(word: string): Pronunciation | undefined {
		const match = word.match(/^([A-Z]{2,})('?s)?$/);
		if (!match) return undefined;
		const [, head = "", s] = match;
		const plural = (phones: string[]) => (s ? withS(phones) : phones);
		const spoken = SPOKEN[head];
		if (spoken) return { phones: plural(spoken.split(" ")), source: "lexicon" };
		const word2 = head.length === 2 && !SHORT_WORDS.has(head);
		if (word2 || SPELLED.has(head))
			return { phones: plural(spellLetters(head)), source: "letters" };
		const known = this.#lexicon.lookup(head.toLowerCase());
		if (known) return { phones: plural(known), source: "lexicon" };
		const sayable =
			/[AEIOUY]/.test(head) && head.length > 4 && !/[^AEIOUY]{4}/.test(head);
		return sayable
			? undefined
			: { phones: plural(spellLetters(head)), source: "letters" };
	}

	#find(lower: string, name: boolean): Pronunciation | undefined {
		const whole = this.#lexicon.lookup(lower);
		if (whole) return { phones: whole, source: "lexicon" };
		if (lower.length === 1)
			return { phones: spellLetters(lower), source: "letters" };
		const possessive = lower.match(/^(.+?)(?:'s|(?<=s)')$/)?.[1];
		if (possessive !== undefined) {
			const stem = this.#find(possessive, name) ?? {
				phones: this.#rules.phones(possessive),
				source: "rules" as const,
			};
			const phones = lower.endsWith("'s") ? withS(stem.phones) : stem.phones;
			return {
				phones,
				source: stem.source === "lexicon" ? "affix" : stem.source,
			};
		}
		return lower.includes("'") ? undefined : this.#known(lower, name);
	}

	/** From known parts: an ending, a beginning, two words in one. */
	#known(word: string, name: boolean): Pronunciation | undefined {
		const whole = this.#lexicon.lookup(word);
		if (whole) return { phones: whole, source: "lexicon" };
		const affixed = this.#suffixed(word) ?? this.#prefixed(word);
		if (affixed) return { phones: affixed, source: "affix" };
		const compound = name ? undefined : this.#compound(word);
		return compound && { phones: compound, source: "compound" };
	}

	/** An ending, or two ("vlog-ger-s"), on a known word. */
	#suffixed(word: string, endings = 2): string[] | undefined {
		if (endings === 0) return undefined;
		for (const { ending, stems, join } of SUFFIXES) {
			const match = word.match(ending);
			if (!match) continue;
			const base = word.slice(0, match.index);
			// After one short vowel a consonant would have doubled: "citing" is from "cite", not from "cit".
			const silentE = /[^aeiou][aeiouy][^aeiouwxy]$/.test(base);
			for (const end of silentE ? stems.toReversed() : stems) {
				const stem = base + end.replace("$1", match[1] ?? "");
				if (stem.length < 3) continue;
				const phones =
					this.#lexicon.lookup(stem) ??
					this.#compound(stem) ??
					this.#suffixed(stem, endings - 1);
				if (phones) return join(phones);
			}
		}
		return undefined;
	}

	#prefixed(word: string): string[] | undefined {
		for (const [prefix, phones] of Object.entries(PREFIXES)) {
			if (!word.startsWith(prefix) || word.length < prefix.length + 4) continue;
			const rest = word.slice(prefix.length);
			const stem = this.#lexicon.lookup(rest) ?? this.#suffixed(rest);
			if (stem) return [...phones.split(" "), ...stem];
		}
		return undefined;
	}

	/** Two dictionary words, the most even split first. */
	#compound(word: string): string[] | undefined {
		const least = 4;
		const splits: number[] = [];
		for (let i = least; i <= word.length - least; i++) splits.push(i);
		splits.sort(
			(a, b) => Math.abs(a - word.length / 2) - Math.abs(b - word.length / 2),
		);
		for (const i of splits) {
			const first = this.#lexicon.lookup(word.slice(0, i));
			const second = first && this.#lexicon.lookup(word.slice(i));
			if (second) return [...first, ...second];
		}
		return undefined;
	}
}
