import type { Clock, WattvoxError } from "@wattvox/core";

/** What a broker that ends the connection, or stays silent, is given before that counts as its answer. */
export const STRIKES = 4;

/** The broker keeps a topic from this client. */
export interface Denial {
	why: WattvoxError;
	/** Denials in a row. */
	times: number;
	/** Not tried again before this, monotonic ms. */
	until: number;
}

export interface DenialOptions {
	clock: Clock;
	/** Uniform in [0, 1). */
	random: () => number;
	/** Ceiling of the first wait after a denial, and of any, ms. */
	againMs: { base: number; max: number };
}

/**
 * A denial after the one before, if any: waits double.
 * @returns it, and how long it holds, ms
 */
export function denialAfter(
	before: Denial | undefined,
	why: WattvoxError,
	{ clock, random, againMs }: DenialOptions,
): Denial & { wait: number } {
	const times = (before?.times ?? 0) + 1;
	const most = Math.min(againMs.max, againMs.base * 2 ** (times - 1));
	const wait = most * (0.5 + 0.5 * random());
	return { why, times, until: clock.monotonic() + wait, wait };
}
