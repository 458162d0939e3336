import { setTimeout as delay } from "node:timers/promises";

/** Node's timers ring at once beyond this, ms: 24.8 days. */
const TIMER_MAX_MS = 2 ** 31 - 1;

/**
 * Time as a port. Durations come from `monotonic`, which no correction of the wall clock moves;
 * `wall` only dates things.
 */
export interface Clock {
	/** Milliseconds since 1970-01-01 UTC. May jump. */
	wall(): number;
	/** Milliseconds since an arbitrary start, fractional. Never runs backwards. */
	monotonic(): number;
	/**
	 * Resolves after `ms` milliseconds; rejects with the signal's reason when it aborts first.
	 * The wait keeps the process alive.
	 */
	sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

/** The machine's own clock. */
export const systemClock: Clock = {
	wall: () => Date.now(),
	monotonic: () => performance.now(),
	async sleep(ms, signal) {
		signal?.throwIfAborted();
		try {
			let left = Math.max(0, ms);
			do {
				const now = Math.min(left, TIMER_MAX_MS);
				await delay(now, undefined, signal ? { signal } : {});
				left -= now;
			} while (left > 0);
		} catch (thrown) {
			// timers/promises wraps the reason in an AbortError of its own
			signal?.throwIfAborted();
			throw thrown;
		}
	},
};

interface Sleeper {
	due: number;
	wake: () => void;
}

/** A clock that stands still until it is told to move: for tests of anything that waits. */
export class ManualClock implements Clock {
	#now = 0;
	readonly #start: number;
	#sleepers: Sleeper[] = [];

	/** @param start wall time at which it starts, milliseconds since 1970 */
	constructor(start = Date.UTC(2026, 0, 1)) {
		this.#start = start;
	}

	wall(): number {
		return this.#start + this.#now;
	}

	monotonic(): number {
		return this.#now;
	}

	/** How many sleeps are under way. */
	get sleeping(): number {
		return this.#sleepers.length;
	}

	sleep(ms: number, signal?: AbortSignal): Promise<void> {
		return new Promise((resolve, reject) => {
			if (signal?.aborted) return reject(signal.reason);
			const sleeper: Sleeper = {
				due: this.#now + Math.max(0, ms),
				wake: () => {
					signal?.removeEventListener("abort", abort);
					resolve();
				},
			};
			const abort = () => {
				this.#sleepers = this.#sleepers.filter((s) => s !== sleeper);
				reject(signal?.reason);
			};
			signal?.addEventListener("abort", abort, { once: true });
			this.#sleepers.push(sleeper);
		});
	}

	/** Moves time on by `ms`, waking sleepers in the order in which they are due. */
	async advance(ms: number): Promise<void> {
		const end = this.#now + ms;
		for (;;) {
			// what a woken sleeper starts may itself sleep within this span
			await new Promise<void>((resolve) => setImmediate(resolve));
			const next = this.#sleepers
				.filter((s) => s.due <= end)
				.sort((a, b) => a.due - b.due)[0];
			if (!next) break;
			this.#now = next.due;
			this.#sleepers = this.#sleepers.filter((s) => s !== next);
			next.wake();
		}
		this.#now = end;
	}
}
