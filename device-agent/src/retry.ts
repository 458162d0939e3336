import { backoff, type Clock, type WattvoxError } from "@wattvox/core";
import type { Step } from "./planner.ts";

/** When to try again after failures that time may heal. */
export class Retry {
	readonly #clock: Clock;
	readonly #base: number;
	readonly #max: number;
	#attempts = 0;
	#at: number | null = null;

	constructor(clock: Clock, ms = { base: 1000, max: 300_000 }) {
		this.#clock = clock;
		this.#base = ms.base;
		this.#max = ms.max;
	}

	/** No attempt before this, monotonic ms; null: any time. */
	get at(): number | null {
		return this.#at;
	}

	/**
	 * Books a failure.
	 * @param atLeast what the failure itself asks for, ms
	 * @returns when the next attempt may be, monotonic ms
	 */
	later(atLeast = 0): number {
		this.#attempts++;
		const jitter = backoff(this.#attempts, this.#base, this.#max, Math.random);
		const wait = Math.max(atLeast, this.#base / 2 + jitter);
		this.#at = this.#clock.monotonic() + wait;
		return this.#at;
	}

	/** Something went well, or something else is wanted. */
	reset(): void {
		this.#attempts = 0;
		this.#at = null;
	}
}

/**
 * Failures that the same bundle will always bring. What came by the broker is not among them before a signature
 * holds: whoever answers in the store's place would keep a good bundle from the device for good. Nor is expiry:
 * a clock that was ahead may be put right.
 */
const BAD_BUNDLE: Readonly<Record<string, ReadonlySet<string>>> = {
	pull: new Set(["E_FILE_FORMAT"]),
	"lay-out": new Set(["E_SIGNATURE", "E_FILE_FORMAT"]),
	activate: new Set(["E_SIGNATURE", "E_FILE_FORMAT"]),
};
/** Failures of a trial that have other causes than the bundle. */
const NOT_ITS_FAULT: ReadonlySet<string> = new Set([
	"E_MEMORY",
	"E_DISK_FULL",
	"E_OUTPUT",
	"E_INTERRUPTED",
]);

/** Whether a step's failure would only repeat, so that the bundle is to be rejected. */
export function repeats(step: Step, { code }: WattvoxError): boolean {
	if (step.do === "try") return !NOT_ITS_FAULT.has(code);
	return BAD_BUNDLE[step.do]?.has(code) ?? false;
}
