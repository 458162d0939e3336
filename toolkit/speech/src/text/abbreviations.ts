import {
	parseRoman,
	spellCardinal,
	spellOrdinal,
	spellYear,
} from "./numbers.ts";

/** Before a name; never the end of a sentence. */
const TITLES: Record<string, string> = {
	Mr: "Mister",
	Mrs: "Missus",
	Ms: "Miz",
	Messrs: "Messieurs",
	Prof: "Professor",
	Gen: "General",
	Col: "Colonel",
	Capt: "Captain",
	Cpt: "Captain",
	Lt: "Lieutenant",
	Sgt: "Sergeant",
	Cmdr: "Commander",
	Maj: "Major",
	Gov: "Governor",
	Sen: "Senator",
	Rep: "Representative",
	Rev: "Reverend",
	Hon: "Honorable",
	Pres: "President",
	Mt: "Mount",
	Ft: "Fort",
};

/** Within a sentence; the full stop goes unless the sentence ends there. */
const SHORT: Record<string, string> = {
	"e.g.": "for example",
	"i.e.": "that is",
	"etc.": "et cetera",
	"vs.": "versus",
	"v.s.": "versus",
	"cf.": "compare",
	"al.": "al",
	"viz.": "namely",
	"ca.": "circa",
	"approx.": "approximately",
	"est.": "established",
	"dept.": "department",
	"apt.": "apartment",
	"asst.": "assistant",
	"assoc.": "associates",
	"max.": "maximum",
	"min.": "minimum",
	"misc.": "miscellaneous",
	"tel.": "telephone",
	"ext.": "extension",
	"incl.": "including",
	"temp.": "temperature",
	"inc.": "incorporated",
	"ltd.": "limited",
	"corp.": "corporation",
	"co.": "company",
	"bros.": "brothers",
	"jr.": "junior",
	"sr.": "senior",
	"esq.": "esquire",
	"ave.": "avenue",
	"blvd.": "boulevard",
	"rd.": "road",
	"hwy.": "highway",
	"sq.": "square",
	"ph.d.": "P H D",
	"b.a.": "B A",
	"m.a.": "M A",
	"m.d.": "M D",
	"b.c.": "B C",
	"a.d.": "A D",
	"b.sc.": "B S C",
	"m.sc.": "M S C",
	"a.m.": "A M",
	"p.m.": "P M",
	"p.s.": "P S",
	"a.k.a.": "also known as",
	"mon.": "Monday",
	"tue.": "Tuesday",
	"tues.": "Tuesday",
	"wed.": "Wednesday",
	"thu.": "Thursday",
	"thurs.": "Thursday",
	"fri.": "Friday",
};

/** Before a number. */
const NUMBERED: Record<string, string> = {
	no: "number",
	nos: "numbers",
	nr: "number",
	vol: "volume",
	fig: "figure",
	figs: "figures",
	eq: "equation",
	sec: "section",
	ch: "chapter",
	chap: "chapter",
	pp: "pages",
	p: "page",
	ver: "version",
	art: "article",
	ed: "edition",
};

/** Words after which a full stop does not end the sentence. */
export const NEVER_FINAL = new Set([
	...Object.keys(TITLES).map((t) => t.toLowerCase()),
	"dr",
	"st",
	"e.g",
	"i.e",
	"vs",
	"cf",
	"approx",
	"viz",
	"ca",
]);

/** Words whose full stop ends the sentence only where the next word starts one. */
export const SELDOM_FINAL = new Set(
	[...Object.keys(SHORT), ...Object.keys(NUMBERED).map((n) => `${n}.`)]
		.map((s) => s.slice(0, -1))
		.concat([
			"jan",
			"feb",
			"mar",
			"apr",
			"jun",
			"jul",
			"aug",
			"sep",
			"sept",
			"oct",
			"nov",
			"dec",
		])
		.concat(["u.s", "u.k", "u.n", "e.u", "u.s.a", "d.c"]),
);

const escaped = (s: string) => s.replaceAll(".", "\\.");
const title = new RegExp(
	`(?<!\\w)(${Object.keys(TITLES).join("|")})\\.?(?= \\p{Lu})`,
	"gu",
);
const titleStop = new RegExp(
	`(?<!\\w)(${Object.keys(TITLES).join("|")})\\.(?=\\s)`,
	"g",
);
const short = new RegExp(
	`(?<![\\w.])(${Object.keys(SHORT).map(escaped).join("|")})(?!\\w)`,
	"gi",
);
const numbered = new RegExp(
	`\\b(${Object.keys(NUMBERED).join("|")})\\. ?(?=\\(?\\d|[IVX]+\\b)`,
	"gi",
);
const STREET = "(?:Ave|Blvd|Rd|Ln|Dr|St)";

/** Titles, "e.g.", "No. 5", "St." (saint or street), "U.S.": one sentence's abbreviations in words. */
export function expandAbbreviations(text: string): string {
	return (
		text
			.replace(/\b(e\. g|i\. e)\.(?= )/gi, (found) => found.replace(" ", ""))
			.replace(/(?<=\d )in\.(?=[,;)]| [a-z])/g, "inches")
			// A street or a drive follows its name; a saint or a doctor goes before.
			.replace(
				new RegExp(
					`(?<=\\p{Lu}\\p{Ll}+ |\\d(?:st|nd|rd|th) )${STREET}\\.?(?= \\p{Lu}\\p{Ll}+ ${STREET}\\b)`,
					"gu",
				),
				street,
			)
			.replace(/\b(?:St|Dr)\.? (?=\p{Lu}\p{L})/gu, (found, offset: number) => {
				const before = text.slice(0, offset);
				const named = /(?:\d(?:st|nd|rd|th)?|\d+ \p{Lu}\p{L}+) $/u.test(before);
				const word = named
					? street(found)
					: found.startsWith("S")
						? "Saint"
						: "Doctor";
				// Without its full stop, "Dr" or "St" between two names is not certain to be either.
				return `${word} `;
			})
			.replace(
				/(?<=\p{Lu}\p{L}+ |\d(?:st|nd|rd|th) )(?:St|Dr|Ave|Blvd|Rd|Ln)\.?(?=[\s,.;:)]|$)/gu,
				street,
			)
			.replace(title, (_, t: string) => TITLES[t] as string)
			.replace(titleStop, (_, t: string) => TITLES[t] as string)
			.replace(numbered, (_, n: string) => `${NUMBERED[n.toLowerCase()]} `)
			.replace(short, (found, key: string, offset: number, whole: string) => {
				const rest = whole.slice(offset + found.length);
				const words = SHORT[key.toLowerCase()] as string;
				// The day's or the company's name in lower case is some other word: "wed.", "inc.".
				return /^["'”’)\]]*\s*$/.test(rest) ? `${words}.` : words;
			})
			// "U.S." and initials: letters without their stops, but for one that ends the sentence.
			.replace(
				/(?<![\w.])(?:\p{Lu}\.){2,}(?!\w)/gu,
				(found, offset: number, whole: string) => {
					const end = /^["'”’)\]]*\s*$/.test(
						whole.slice(offset + found.length),
					);
					return found.replaceAll(".", " ").trim() + (end ? "." : "");
				},
			)
			.replace(/(?<![\w.'’])(\p{Lu})\.(?= \p{Lu})/gu, "$1")
			.replace(/\bw\/o(?!\w)/g, "without")
			.replace(/\bw\/(?=[\s,\w])/g, "with ")
			.replace(/\bc\/o(?!\w)/gi, "care of")
			.replace(/\bvs\b/g, "versus")
			.replace(/\bn\/a\b/gi, "N A")
			.replace(/\band\/or\b/gi, "and or")
	);
}

function street(found: string): string {
	const names: Record<string, string> = {
		St: "Street",
		Dr: "Drive",
		Ave: "Avenue",
		Blvd: "Boulevard",
		Rd: "Road",
		Ln: "Lane",
	};
	return names[found.trim().replace(".", "")] ?? found;
}

const REGNAL =
	"Henry|Louis|George|Edward|William|Charles|James|Richard|Elizabeth|Mary|John|Paul|Pius|Benedict|Francis|" +
	"Philip|Frederick|Wilhelm|Napoleon|Nicholas|Alexander|Peter|Catherine|Gregory|Leo|Clement|Innocent|Otto|" +
	"Ferdinand|Rudolf|Ramses|Ptolemy|Darius|Xerxes|Gustav|Christian|Haakon|Olaf|Felipe|Juan Carlos|Harald|Albert|Leopold";
const CUE =
	"[Cc]hapter|[Pp]art|[Vv]olume|[Bb]ook|[Aa]ct|[Ss]cene|[Ss]ection|[Aa]rticle|[Pp]hase|[Ss]tage|[Tt]ype|" +
	"[Cc]lass|[Ll]evel|[Ff]igure|[Tt]able|[Aa]ppendix|World War|Super Bowl|[Gg]rade|[Gg]roup|[Tt]itle|[Ee]pisode|Mark|Apollo|Rocky";

/** Roman numerals where a word before them says so: "Henry VIII", "Chapter IV", "World War II", "XIX century". */
export function expandRoman(text: string): string {
	const ordinal = new RegExp(`\\b(${REGNAL}) ([IVX]+)\\b(?!['’](?!s\\b))`, "g");
	const cardinal = new RegExp(`\\b(${CUE}) ([IVXL]+)\\b`, "g");
	const century = /\b([IVX]{2,}|[VX])(?:th)? (?=[Cc]entur)/g;
	return (
		text
			.replace(ordinal, (whole, name: string, roman: string) => {
				const n = parseRoman(roman);
				return n === undefined
					? whole
					: `${name} the ${spellOrdinal(String(n))}`;
			})
			.replace(cardinal, (whole, cue: string, roman: string) => {
				const n = parseRoman(roman);
				return n === undefined ? whole : `${cue} ${spellCardinal(String(n))}`;
			})
			.replace(century, (whole, roman: string) => {
				const n = parseRoman(roman);
				return n === undefined ? whole : `${spellOrdinal(String(n))} `;
			})
			.replace(
				/(?<=\p{Lu}\p{Ll}+ )(II|III|VI{1,3}|I[VX]|XI{1,3})\b(?!\.\w)/gu,
				(roman) => spellCardinal(String(parseRoman(roman))),
			)
			.replace(
				new RegExp(`\\b(${CUE}) ([ivx]{2,})\\b`, "g"),
				(whole, cue: string, roman: string) => {
					const n = parseRoman(roman.toUpperCase());
					return n === undefined ? whole : `${cue} ${spellCardinal(String(n))}`;
				},
			)
			// Long enough to be no word and no abbreviation: "MCMXCIV", "XIV". "XXX" is seldom thirty.
			.replace(
				/(?<![\w.])(?:M[MDCLXVI]{3,}|(?!XXX\b)[XVI]{3,})(?![\w.]\w)\b/g,
				(roman) => {
					const n = parseRoman(roman);
					if (n === undefined) return roman;
					return n < 1000 ? spellCardinal(String(n)) : spellYear(String(n));
				},
			)
	);
}
