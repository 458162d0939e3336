import { StepRandom } from "./random.ts";

/**
 * Batches of similar length: of each draw of `wide` batches, sorted by length, one is given out. So
 * little of a batch is padding and few shapes come up, while every example comes up as often.
 */
export class LengthBuckets {
	readonly #lengths: readonly number[];
	readonly #size: number;
	readonly #seed: number;
	readonly #wide: number;

	/** @param lengths of the examples; @param size examples per batch */
	constructor(lengths: readonly number[], size: number, seed = 1, wide = 8) {
		this.#lengths = lengths;
		this.#size = size;
		this.#seed = seed;
		this.#wide = wide;
	}

	/** Indices of the examples of a step's batch: a function of the seed and the step alone. */
	batch(step: number): number[] {
		const random = new StepRandom(this.#seed, step);
		const pool = Array.from({ length: this.#size * this.#wide }, () =>
			random.int(this.#lengths.length),
		);
		const length = (i: number) => this.#lengths[i] ?? 0;
		pool.sort((a, b) => length(a) - length(b));
		const at = random.int(this.#wide) * this.#size;
		return pool.slice(at, at + this.#size);
	}

	/** Share of a batch that is padding when all are as long as the longest. */
	padding(batch: readonly number[]): number {
		const lengths = batch.map((i) => this.#lengths[i] ?? 0);
		const whole = Math.max(...lengths) * lengths.length;
		return 1 - lengths.reduce((a, b) => a + b, 0) / whole;
	}
}
