import { backoff } from "@wattvox/core";

/** Deaths in a row while loading one voice after which that voice is to blame. */
const MOST = 3;
/** A process that lived this long was no quick death, ms. */
const QUICK_MS = 10_000;

/** Counts the deaths of a process that is always started again: when, and whether its voice is to blame. */
export class Deaths {
	#born = 0;
	/** In a row, each within QUICK_MS of its start. */
	#quick = 0;
	/** In a row, while loading. */
	#loading = 0;
	#all = 0;

	/** So far. */
	get all(): number {
		return this.#all;
	}

	/** The voice that it was to load is not to be loaded again. */
	get blamed(): boolean {
		return this.#loading >= MOST;
	}

	/** It was started, or was to be. @param now monotonic, ms */
	born(now: number): void {
		this.#born = now;
	}

	/**
	 * It has ended.
	 * @param now monotonic, ms
	 * @returns how long to wait before the next is started, ms: not at all after a single death, since the
	 *   device is silent until then
	 */
	died(now: number): number {
		this.#all++;
		this.#quick = now - this.#born < QUICK_MS ? this.#quick + 1 : 1;
		return this.#quick <= 1 ? 0 : backoff(this.#quick, 100, 5000, Math.random);
	}

	/** It was loading a voice then. @returns how often in a row that happened */
	whileLoading(): number {
		return ++this.#loading;
	}

	/** A voice was loaded, or may be tried again. */
	forgive(): void {
		this.#loading = 0;
	}
}
