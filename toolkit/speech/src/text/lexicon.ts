import { readFileSync } from "node:fs";
import { WattvoxError } from "@wattvox/core";

const NEWLINE = 0x0a;
const SPACE = 0x20;

/** The pronouncing dictionary that ships with this package: CMUdict 0.7b, one pronunciation a word. */
export const LEXICON_FILE: URL = new URL(
	"../../data/lexicon-en.txt",
	import.meta.url,
);

/**
 * A pronouncing dictionary: lines of `word phone phone ...\n`, sorted by the word's bytes. It stays one
 * buffer and is searched in place, so 126,000 words cost their 3 MB and no parsing.
 *
 * INVARIANT: the file is sorted; `scripts` writes it so and a test checks it.
 */
export class Lexicon {
	readonly #bytes: Buffer;

	constructor(bytes: Uint8Array) {
		this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
	}

	/** @throws WattvoxError E_FILE_MISSING when it cannot be read. */
	static open(file: string | URL = LEXICON_FILE): Lexicon {
		try {
			return new Lexicon(readFileSync(file));
		} catch (cause) {
			throw new WattvoxError(
				"E_FILE_MISSING",
				`no lexicon at ${String(file)}`,
				{ cause },
			);
		}
	}

	/** Phones of a lower-case word, or undefined when it is not in the dictionary. */
	lookup(word: string): string[] | undefined {
		const key = Buffer.from(word, "latin1");
		const bytes = this.#bytes;
		let low = 0;
		let high = bytes.length;
		while (low < high) {
			const middle = (low + high) >> 1;
			// lastIndexOf would take an offset of -1 as "from the end".
			const start =
				middle === 0 ? 0 : bytes.lastIndexOf(NEWLINE, middle - 1) + 1;
			const space = bytes.indexOf(SPACE, start);
			const order = bytes.compare(key, 0, key.length, start, space);
			if (order === 0) {
				const end = bytes.indexOf(NEWLINE, space);
				return bytes
					.toString("latin1", space + 1, end < 0 ? bytes.length : end)
					.split(" ");
			}
			if (order > 0) high = start;
			else {
				const end = bytes.indexOf(NEWLINE, space);
				low = end < 0 ? bytes.length : end + 1;
			}
		}
		return undefined;
	}

	has(word: string): boolean {
		return this.lookup(word) !== undefined;
	}
}
