import { WattvoxError } from "@wattvox/core";

/**
 * One at a time, the rest in a bounded row: utterances that computed side by side would each be
 * slower than real time sooner.
 */
export class Turns {
	readonly #limit: number;
	#waiting: (() => void)[] = [];
	#busy = false;

	/** @param limit how many may wait */
	constructor(limit: number) {
		this.#limit = limit;
	}

	get waiting(): number {
		return this.#waiting.length;
	}

	/**
	 * Waits for the turn.
	 * @returns gives the turn on; call it exactly once
	 * @throws WattvoxError E_BUSY when too many wait; the signal's reason
	 */
	async take(signal: AbortSignal): Promise<() => void> {
		signal.throwIfAborted();
		if (this.#busy) {
			if (this.#waiting.length >= this.#limit)
				throw new WattvoxError(
					"E_BUSY",
					`${this.#limit} requests are waiting already`,
				);
			await new Promise<void>((resolve, reject) => {
				const next = () => {
					signal.removeEventListener("abort", abort);
					resolve();
				};
				const abort = () => {
					this.#waiting = this.#waiting.filter((w) => w !== next);
					reject(signal.reason);
				};
				signal.addEventListener("abort", abort, { once: true });
				this.#waiting.push(next);
			});
		}
		this.#busy = true;
		return () => {
			const next = this.#waiting.shift();
			// The turn passes on without being free in between: nobody can jump the row.
			if (next) next();
			else this.#busy = false;
		};
	}
}
