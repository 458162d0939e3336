import { WattvoxError } from "./errors.ts";

/** The part of `process` that interrupts need. */
export interface InterruptTarget {
	readonly pid: number;
	on(event: "SIGINT" | "SIGTERM", listener: () => void): unknown;
	off(event: "SIGINT" | "SIGTERM", listener: () => void): unknown;
	removeAllListeners(event: "SIGINT"): unknown;
	kill(pid: number, signal: "SIGINT"): unknown;
}

export interface Interrupts {
	/** Aborts at the first Ctrl-C or SIGTERM; its reason is a WattvoxError E_INTERRUPTED. */
	signal: AbortSignal;
	/** Gives the signals back to Node's own handling. Idempotent. */
	stop(): void;
}

/**
 * Turns Ctrl-C and SIGTERM into an abort: the first asks the work to stop where it can resume, the
 * second ends the process at once as SIGINT does by itself, which a shell sees as exit code 130.
 * @param onFirst told at the first one, to say that the work is being put away
 */
export function catchInterrupts(
	onFirst: (which: "SIGINT" | "SIGTERM") => void = () => undefined,
	target: InterruptTarget = process,
): Interrupts {
	const controller = new AbortController();
	const listener = (which: "SIGINT" | "SIGTERM") => () => {
		if (controller.signal.aborted) {
			// Not by exit(): that tears down a thread in the middle of a native call, which then aborts.
			target.removeAllListeners("SIGINT");
			target.kill(target.pid, "SIGINT");
			return;
		}
		onFirst(which);
		controller.abort(new WattvoxError("E_INTERRUPTED", "interrupted"));
	};
	const interrupt = listener("SIGINT");
	const terminate = listener("SIGTERM");
	target.on("SIGINT", interrupt);
	target.on("SIGTERM", terminate);
	return {
		signal: controller.signal,
		stop() {
			target.off("SIGINT", interrupt);
			target.off("SIGTERM", terminate);
		},
	};
}

/**
 * `promise`, abandoned when `signal` aborts: for what cannot be cancelled, such as a native call.
 * The promise's own later failure is then swallowed.
 * @throws the signal's reason
 */
export async function abandonable<T>(
	promise: Promise<T>,
	signal?: AbortSignal,
): Promise<T> {
	if (!signal) return promise;
	if (signal.aborted) {
		promise.catch(() => undefined);
		throw signal.reason;
	}
	let abort: () => void = () => undefined;
	const aborted = new Promise<never>((_, reject) => {
		abort = () => reject(signal.reason);
		signal.addEventListener("abort", abort, { once: true });
	});
	try {
		return await Promise.race([promise, aborted]);
	} finally {
		signal.removeEventListener("abort", abort);
	}
}
