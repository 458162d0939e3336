import { fromArpabet, PHONES } from "@wattvox/speech";
import { dictionary } from "cmu-pronouncing-dictionary";
import { EXTRA } from "./extra.ts";

const known = new Set(PHONES);

/**
 * CMUdict's first pronunciation of every word of letters and apostrophes, in our phone set and with our own
 * additions, sorted by bytes.
 */
export function cmudict(): [word: string, phones: string[]][] {
	const words = new Map<string, string[]>();
	for (const [word, arpabet] of Object.entries(dictionary)) {
		if (!/^[a-z']*[a-z][a-z']*$/.test(word)) continue;
		// Some entries end in a remark: "aalborg": "AO1 L B AO0 R G # place, danish".
		const phones = arpabet
			.replace(/#.*/, "")
			.trim()
			.split(/\s+/)
			.map(fromArpabet);
		const odd = phones.find((p) => !known.has(p));
		if (odd !== undefined) throw new Error(`${word}: unknown phone ${odd}`);
		words.set(word, phones);
	}
	for (const [word, phones] of Object.entries(EXTRA)) {
		const list = phones.split(" ");
		const odd = list.find((p) => !known.has(p));
		if (odd !== undefined) throw new Error(`${word}: unknown phone ${odd}`);
		words.set(word, list);
	}
	return [...words].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
}
