import { normal, seededRandom } from "@wattvox/models";

/**
 * Randomness of one training step: a function of the seed and the step alone, so that a resumed run
 * sees the batches it would have seen.
 */
export class StepRandom {
	readonly #next: () => number;
	constructor(seed: number, step: number) {
		this.#next = seededRandom(
			Math.imul(seed + 1, 0x9e3779b1) ^ Math.imul(step + 1, 0x85ebca6b),
		);
	}
	/** Uniform in [0, 1). */
	uniform(): number {
		return this.#next();
	}
	/** An integer in [0, n). */
	int(n: number): number {
		return Math.floor(this.#next() * n);
	}
	/** Standard normal. */
	normal(): number {
		return normal(this.#next);
	}
	/** One element. */
	pick<T>(list: readonly T[]): T {
		return list[this.int(list.length)] as T;
	}
}
