import type { Clock } from "@wattvox/core";

/**
 * Wakes one waiter. A ring while nobody waits is kept for the next wait, so that nothing that
 * happens between looking and waiting is missed.
 */
export class Bell {
	readonly #clock: Clock;
	#rung = false;
	#wake: () => void = () => undefined;

	constructor(clock: Clock) {
		this.#clock = clock;
	}

	ring(): void {
		this.#rung = true;
		this.#wake();
	}

	/** Forgets earlier rings: what they were about is going to be looked at. */
	reset(): void {
		this.#rung = false;
	}

	/** Waits for a ring, or until a time (monotonic, ms). */
	async wait(until?: number): Promise<void> {
		if (this.#rung) return;
		const over = new AbortController();
		const waits: Promise<unknown>[] = [
			new Promise<void>((resolve) => {
				this.#wake = resolve;
			}),
		];
		if (until !== undefined)
			waits.push(
				this.#clock
					.sleep(until - this.#clock.monotonic(), over.signal)
					.catch(() => undefined),
			);
		await Promise.race(waits);
		over.abort();
	}
}
