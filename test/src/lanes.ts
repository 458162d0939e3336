/** Does so many things at a time, the others in turn: for tests whose programs are busy to their end. */
export class Lanes {
	readonly #lanes: Promise<unknown>[];
	#next = 0;

	constructor(count: number) {
		this.#lanes = Array.from({ length: count }, () => Promise.resolve());
	}

	run<T>(work: () => Promise<T>): Promise<T> {
		const lane = this.#next++ % this.#lanes.length;
		const done = (this.#lanes[lane] ?? Promise.resolve()).then(work);
		this.#lanes[lane] = done.catch(() => undefined);
		return done;
	}
}
