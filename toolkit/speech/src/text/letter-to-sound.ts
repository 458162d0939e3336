import { readFileSync } from "node:fs";
import { WattvoxError } from "@wattvox/core";

/** The letter-to-sound model that ships with this package, learned from CMUdict. */
export const LETTER_TO_SOUND_FILE: URL = new URL(
	"../../data/letter-to-sound-en.bin",
	import.meta.url,
);

/** Sequence markers; graphones follow from 2. */
export const BOS = 0;
export const EOS = 1;

/** Head of the model file: a little-endian uint32 of its length, then this as JSON, then the levels. */
export interface LetterToSoundHeader {
	format: "wattvox-letter-to-sound-1";
	/** Longest n-gram. */
	order: number;
	/** Step of the stored -ln p and -ln backoff, one byte each. */
	step: number;
	/** Graphones: the letter, then its phones (none to two). Symbol ids start at 2. */
	graphones: string[];
	/** n-grams of each length, 1 to order. */
	counts: number[];
}

/** n-grams of one length, sorted so that those sharing their first n - 1 symbols are together. */
interface Level {
	symbol: Uint8Array;
	cost: Uint8Array;
	backoff: Uint8Array;
	/** Children of node i are first[i] to first[i + 1] in the next level. */
	first: Uint32Array;
}

interface Hypothesis {
	cost: number;
	/** Node of each suffix of the history in its level: nodes[k] for the last k + 1 symbols, or -1. */
	nodes: Int32Array;
	graphone: number;
	previous: Hypothesis | undefined;
}

const BEAM = 48;

/**
 * Letters to phones with a joint n-gram model over graphones (Bisani and Ney 2008): a graphone is one letter
 * with the none to two phones it stands for, and a word is the most likely graphone sequence that spells
 * it, found by beam search. The n-grams back off (Katz form) and are stored as a trie, a level per length.
 */
export class LetterToSound {
	readonly #header: LetterToSoundHeader;
	readonly #levels: Level[] = [];
	/** Graphone ids by letter. */
	readonly #byLetter = new Map<string, number[]>();
	readonly #phones: string[][] = [[], []];

	/** @throws WattvoxError E_FILE_FORMAT when the bytes are not such a model. */
	constructor(bytes: Uint8Array) {
		const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
		try {
			const length = view.getUint32(0, true);
			const json = Buffer.from(
				bytes.buffer,
				bytes.byteOffset + 4,
				length,
			).toString("utf8");
			this.#header = JSON.parse(json);
			if (this.#header.format !== "wattvox-letter-to-sound-1")
				throw new Error("other format");
			this.#readLevels(bytes, 4 + length);
		} catch (cause) {
			throw new WattvoxError("E_FILE_FORMAT", "not a letter-to-sound model", {
				cause,
			});
		}
		for (const [i, graphone] of this.#header.graphones.entries()) {
			const [letter = "", ...phones] = graphone.split(" ");
			this.#phones.push(phones);
			const ids = this.#byLetter.get(letter) ?? [];
			ids.push(i + 2);
			this.#byLetter.set(letter, ids);
		}
	}

	/** @throws WattvoxError E_FILE_MISSING or E_FILE_FORMAT. */
	static open(file: string | URL = LETTER_TO_SOUND_FILE): LetterToSound {
		let bytes: Uint8Array;
		try {
			bytes = readFileSync(file);
		} catch (cause) {
			throw new WattvoxError(
				"E_FILE_MISSING",
				`no letter-to-sound model at ${String(file)}`,
				{
					cause,
				},
			);
		}
		return new LetterToSound(bytes);
	}

	/**
	 * Each level holds, a byte per n-gram: last symbols, costs and, but for the longest, backoffs and numbers of
	 * children.
	 */
	#readLevels(bytes: Uint8Array, at: number): void {
		const { counts } = this.#header;
		let offset = at;
		const take = (n: number) => {
			const part = bytes.subarray(offset, offset + n);
			if (part.length !== n) throw new Error("cut short");
			offset += n;
			return part;
		};
		for (const [i, n] of counts.entries()) {
			const symbol = take(n);
			const cost = take(n);
			const last = i === counts.length - 1;
			const backoff = last ? new Uint8Array(0) : take(n);
			const children = last ? new Uint8Array(n) : take(n);
			const first = new Uint32Array(n + 1);
			for (let k = 0; k < n; k++)
				first[k + 1] = (first[k] as number) + (children[k] as number);
			this.#levels.push({ symbol, cost, backoff, first });
		}
	}

	/** Index in level `level + 1` of `node` followed by `symbol`, or -1. */
	#child(level: number, node: number, symbol: number): number {
		const { first } = this.#levels[level] as Level;
		const next = (this.#levels[level + 1] as Level).symbol;
		let low = first[node] as number;
		let high = first[node + 1] as number;
		while (low < high) {
			const middle = (low + high) >> 1;
			const s = next[middle] as number;
			if (s === symbol) return middle;
			if (s < symbol) low = middle + 1;
			else high = middle;
		}
		return -1;
	}

	/** -ln p(symbol | history), in steps, and the history's nodes after it. */
	#extend(from: Hypothesis, symbol: number): Hypothesis {
		const { order } = this.#header;
		const nodes = new Int32Array(order).fill(-1);
		// Level 0 holds every symbol in order, so a unigram's node is the symbol itself.
		nodes[0] = symbol;
		let longest = 0;
		for (let k = 1; k < order; k++) {
			const context = from.nodes[k - 1] as number;
			if (context < 0) continue;
			const node = this.#child(k - 1, context, symbol);
			nodes[k] = node;
			if (node >= 0) longest = k;
		}
		let cost = (this.#levels[longest] as Level).cost[
			nodes[longest] as number
		] as number;
		for (let k = longest; k < order - 1; k++) {
			const context = from.nodes[k] as number;
			if (context < 0) continue;
			cost += (this.#levels[k] as Level).backoff[context] as number;
		}
		return { cost: from.cost + cost, nodes, graphone: symbol, previous: from };
	}

	/**
	 * Phones of a word of letters a-z (others are passed over).
	 * @returns at least one phone for a word with a letter; [] without.
	 */
	phones(word: string): string[] {
		const { order } = this.#header;
		const start = new Int32Array(order).fill(-1);
		start[0] = BOS;
		let beam: Hypothesis[] = [
			{ cost: 0, nodes: start, graphone: BOS, previous: undefined },
		];
		for (const letter of word.toLowerCase()) {
			const graphones = this.#byLetter.get(letter);
			if (!graphones) continue;
			const next: Hypothesis[] = [];
			for (const hypothesis of beam)
				for (const graphone of graphones)
					next.push(this.#extend(hypothesis, graphone));
			next.sort((a, b) => a.cost - b.cost);
			beam = next.slice(0, BEAM);
		}
		const ends = beam
			.map((h) => this.#extend(h, EOS))
			.sort((a, b) => a.cost - b.cost);
		for (const end of ends) {
			const phones: string[] = [];
			for (let h = end.previous; h; h = h.previous)
				phones.unshift(...(this.#phones[h.graphone] as string[]));
			if (phones.length > 0) return phones;
		}
		return [];
	}
}
