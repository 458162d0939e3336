/** A letter with the phones it stands for (none to two), as "letter phone phone". */
export type Graphone = string;

type Entry = readonly [word: string, phones: readonly string[]];

/** Graphones whose probability given the letter stays below this are alignment noise. */
const MIN_SHARE = 5e-4;
/** To start with, one phone a letter is what we expect; silence and pairs are exceptions. */
const PRIOR = [0.2, 1, 0.05];
const MAX_PHONES = 2;

/**
 * Aligns the letters of each word with its phones, one letter to none, one or two phones, by expectation
 * maximisation over p(phones | letter). Words that no such alignment fits (abbreviations mostly) are left out.
 */
export function align(words: readonly Entry[], iterations = 12): Graphone[][] {
	const table = new Table(words);
	for (let round = 0; round < iterations; round++)
		table.maximise(words, round > iterations / 2 ? MIN_SHARE : 0);
	return words.flatMap((entry) => table.best(entry) ?? []);
}

/** p(phones | letter), dense over letters and up to two phones; phone 0 is none. */
class Table {
	readonly #letters: string[];
	readonly #phones: string[];
	readonly #letterIds: Map<string, number>;
	readonly #phoneIds: Map<string, number>;
	#share: Float64Array;

	constructor(words: readonly Entry[]) {
		this.#letters = [...new Set(words.flatMap(([w]) => [...w]))].sort();
		this.#phones = ["", ...[...new Set(words.flatMap(([, p]) => p))].sort()];
		this.#letterIds = new Map(this.#letters.map((l, i) => [l, i]));
		this.#phoneIds = new Map(this.#phones.map((p, i) => [p, i]));
		const n = this.#phones.length;
		this.#share = new Float64Array(this.#letters.length * n * n);
		for (let i = 0; i < this.#share.length; i++) {
			const [first, second] = [Math.floor(i / n) % n, i % n];
			const count = first === 0 ? 0 : second === 0 ? 1 : 2;
			this.#share[i] = first === 0 && second > 0 ? 0 : (PRIOR[count] as number);
		}
	}

	#ids([word, phones]: Entry): { letters: number[]; sounds: number[] } {
		return {
			letters: [...word].map((l) => this.#letterIds.get(l) as number),
			sounds: phones.map((p) => this.#phoneIds.get(p) as number),
		};
	}

	/** Index of a letter standing for `n` phones from position `j`. */
	#at(letter: number, sounds: readonly number[], j: number, n: number): number {
		const size = this.#phones.length;
		const first = n > 0 ? (sounds[j] as number) : 0;
		const second = n > 1 ? (sounds[j + 1] as number) : 0;
		return (letter * size + first) * size + second;
	}

	/** One round: expected counts of every graphone (forward-backward), then shares of at least `floor`. */
	maximise(words: readonly Entry[], floor: number): void {
		const counts = new Float64Array(this.#share.length);
		for (const entry of words) this.#expect(entry, counts);
		const block = this.#phones.length ** 2;
		for (let letter = 0; letter < this.#letters.length; letter++) {
			const part = counts.subarray(letter * block, (letter + 1) * block);
			const total = part.reduce((a, v) => a + v, 0);
			for (let i = 0; i < block; i++) {
				const p = total > 0 ? (part[i] as number) / total : 0;
				part[i] = p >= floor ? p : 0;
			}
		}
		this.#share = counts;
	}

	#expect(entry: Entry, counts: Float64Array): void {
		const { letters, sounds } = this.#ids(entry);
		const L = letters.length;
		const P = sounds.length;
		const width = P + 1;
		const forward = new Float64Array((L + 1) * width);
		const backward = new Float64Array((L + 1) * width);
		forward[0] = 1;
		for (let i = 0; i < L; i++)
			for (let j = 0; j <= P; j++) {
				const f = forward[i * width + j] as number;
				if (f === 0) continue;
				for (let n = 0; n <= MAX_PHONES && j + n <= P; n++) {
					const w = this.#share[
						this.#at(letters[i] as number, sounds, j, n)
					] as number;
					const to = (i + 1) * width + j + n;
					forward[to] = (forward[to] as number) + f * w;
				}
			}
		const total = forward[L * width + P] as number;
		if (total === 0) return;
		backward[L * width + P] = 1;
		for (let i = L - 1; i >= 0; i--)
			for (let j = P; j >= 0; j--)
				for (let n = 0; n <= MAX_PHONES && j + n <= P; n++) {
					const b = backward[(i + 1) * width + j + n] as number;
					if (b === 0) continue;
					const at = this.#at(letters[i] as number, sounds, j, n);
					const gain = (this.#share[at] as number) * b;
					backward[i * width + j] = (backward[i * width + j] as number) + gain;
					const f = forward[i * width + j] as number;
					counts[at] = (counts[at] as number) + (f * gain) / total;
				}
	}

	/** The most likely alignment (Viterbi). */
	best(entry: Entry): [Graphone[]] | undefined {
		const [word, phones] = entry;
		const { letters, sounds } = this.#ids(entry);
		const L = letters.length;
		const P = sounds.length;
		const width = P + 1;
		const score = new Float64Array((L + 1) * width);
		const taken = new Int8Array((L + 1) * width);
		score[0] = 1;
		for (let i = 0; i < L; i++)
			for (let j = 0; j <= P; j++)
				for (let n = 0; n <= MAX_PHONES && j + n <= P; n++) {
					const w = this.#share[
						this.#at(letters[i] as number, sounds, j, n)
					] as number;
					const next = (score[i * width + j] as number) * w;
					const to = (i + 1) * width + j + n;
					// Of two equal ways ("ll": which l is silent?) the same one always wins, despite rounding.
					if (next <= (score[to] as number) * (1 + 1e-9)) continue;
					score[to] = next;
					taken[to] = n;
				}
		if (score[L * width + P] === 0) return undefined;
		const out: Graphone[] = [];
		for (let i = L, j = P; i > 0; i--) {
			const n = taken[i * width + j] as number;
			out.unshift([word[i - 1], ...phones.slice(j - n, j)].join(" "));
			j -= n;
		}
		return [out];
	}
}
