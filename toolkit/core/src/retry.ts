import { type Clock, systemClock } from "./clock.ts";

export interface RetryOptions {
	/** Attempts in all, the first included. Default 5. */
	limit?: number;
	/** Ceiling of the first wait, milliseconds; it doubles with every attempt. Default 200. */
	baseMs?: number;
	/** Ceiling of any wait, milliseconds. Default 10 000. */
	maxMs?: number;
	/** Abandons the waiting and further attempts; its reason is thrown. */
	signal?: AbortSignal;
	/** Whether another attempt can help. Default: always. */
	retryable?: (thrown: unknown) => boolean;
	/** Told of each failure that will be retried. */
	onRetry?: (thrown: unknown, attempt: number, waitMs: number) => void;
	clock?: Clock;
	/** Uniform in [0, 1). */
	random?: () => number;
}

/** What the other side may attach to an error to say when it wants to hear from us again. */
interface BackPressure {
	retryAfterMs?: unknown;
}

/**
 * The wait before attempt `attempt + 1`: "full jitter", uniform in [0, min(max, base * 2^(attempt-1))),
 * so that a fleet that lost its broker together does not return together
 * (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
 * @param attempt attempts made so far, from 1
 * @returns milliseconds
 */
export function backoff(
	attempt: number,
	baseMs: number,
	maxMs: number,
	random: () => number,
): number {
	return random() * Math.min(maxMs, baseMs * 2 ** (attempt - 1));
}

/**
 * Runs `work` until it succeeds, the limit is reached, the failure is not retryable or the signal
 * aborts. A failure with `retryAfterMs` is given at least that long.
 * @param work is told which attempt this is, from 1
 * @throws the last failure, or the signal's reason
 */
export async function retry<T>(
	work: (attempt: number) => Promise<T>,
	options: RetryOptions = {},
): Promise<T> {
	const {
		limit = 5,
		baseMs = 200,
		maxMs = 10_000,
		signal,
		retryable = () => true,
		onRetry,
		clock = systemClock,
		random = Math.random,
	} = options;
	for (let attempt = 1; ; attempt++) {
		signal?.throwIfAborted();
		try {
			return await work(attempt);
		} catch (thrown) {
			signal?.throwIfAborted();
			if (attempt >= limit || !retryable(thrown)) throw thrown;
			const asked = (thrown as BackPressure | null)?.retryAfterMs;
			const wait = Math.max(
				backoff(attempt, baseMs, maxMs, random),
				typeof asked === "number" && Number.isFinite(asked) ? asked : 0,
			);
			onRetry?.(thrown, attempt, wait);
			await clock.sleep(wait, signal);
		}
	}
}
