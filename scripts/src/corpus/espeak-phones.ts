import { WattvoxError } from "@wattvox/core";

// espeak-ng's mnemonics (en-us) as our phones. A pair shares its time by the number after it:
// the first phone's part. An empty entry belongs to the phone before it.
const US: Readonly<Record<string, string>> = {
	p: "p",
	b: "b",
	t: "t",
	d: "d",
	k: "k",
	g: "g",
	m: "m",
	n: "n",
	N: "ng",
	f: "f",
	v: "v",
	T: "th",
	D: "dh",
	s: "s",
	z: "z",
	S: "sh",
	Z: "zh",
	h: "hh",
	tS: "ch",
	dZ: "jh",
	l: "l",
	r: "r",
	w: "w",
	j: "y",
	"t#": "t",
	t2: "t",
	"?": "t",
	"r-": "r",
	";": "",
	I: "ih",
	I2: "ih",
	"I#": "ih",
	i: "iy",
	"i:": "iy",
	E: "eh",
	a: "ae",
	aa: "ae",
	V: "ah",
	"0": "aa",
	"A:": "aa",
	O: "ao",
	O2: "ao",
	"O:": "ao",
	U: "uh",
	"u:": "uw",
	u: "uw",
	"@": "ax",
	"@2": "ax",
	"@-": "ax",
	"@5": "ax",
	"a#": "ax",
	"3": "er",
	"3:": "er",
	eI: "ey",
	aI: "ay",
	OI: "oy",
	aU: "aw",
	oU: "ow",
	"@L": "ax l 0.4",
	"n-": "ax n 0.3",
	"m-": "ax m 0.3",
	"A@": "aa r 0.65",
	"O@": "ao r 0.65",
	"o@": "ao r 0.65",
	"e@": "eh r 0.65",
	"U@": "uh r 0.65",
	"i@3": "ih r 0.6",
	"i@": "iy ax 0.6",
	aI3: "ay er 0.6",
	"aI@": "ay ax 0.6",
	"aU@": "aw ax 0.6",
};

// What southern British makes of the same mnemonics: no r after a vowel, broad a, rounded o.
const GB: Readonly<Record<string, string>> = {
	...US,
	aa: "aa",
	"0": "ao",
	"3": "ax",
	"A@": "aa",
	"O@": "ao",
	"o@": "ao",
	"e@": "eh",
	"U@": "uh ax 0.6",
	"i@3": "ih ax 0.6",
	"i@": "ih ax 0.6",
	aI3: "ay ax 0.6",
};

/**
 * Phoneme events (mnemonic, start in seconds) as phones with END times in seconds, a pause at
 * both ends.
 * @param british vowels without r
 * @throws WattvoxError E_FILE_FORMAT for a mnemonic that is not in the table
 */
export function spread(
	events: readonly (readonly [mnemonic: string, start: number])[],
	total: number,
	british = false,
): [phone: string, end: number][] {
	const table = british ? GB : US;
	const out: [string, number][] = [];
	const first = events[0]?.[1] ?? total;
	out.push(["pau", first]);
	const put = (phone: string, end: number) => {
		const last = out.at(-1);
		if (last && last[0] === "pau" && phone === "pau") last[1] = end;
		else out.push([phone, end]);
	};
	for (const [i, [mnemonic, start]] of events.entries()) {
		const end = Math.max(start, events[i + 1]?.[1] ?? total);
		if (mnemonic.startsWith("_") || mnemonic === "") {
			put("pau", end);
			continue;
		}
		const entry = table[mnemonic];
		if (entry === undefined) {
			throw new WattvoxError(
				"E_FILE_FORMAT",
				`espeak-ng spoke a sound that is not in the table: ${mnemonic}`,
			);
		}
		const [one, two, share] = entry.split(" ");
		const last = out.at(-1);
		if (!one) {
			if (last) last[1] = end;
		} else if (two) {
			put(one, start + (end - start) * Number(share));
			put(two, end);
		} else put(one, end);
	}
	put("pau", total);
	return out;
}
