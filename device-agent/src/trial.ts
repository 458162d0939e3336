import { type ErrorCode, WattvoxError } from "@wattvox/core";
import type { GoldenLimits, GoldenResult } from "@wattvox/synth";
import { forkHelper, lastWord } from "./helper-process.ts";

export interface TrialConfig {
	/** A laid-out bundle. */
	dir: string;
	/** Path of its golden.json; null when it has none. */
	golden: string | null;
	threads: number;
	/** Where they differ from synth's defaults. */
	limits: Partial<GoldenLimits>;
}

export type TrialMessage =
	| { ok: true; result: GoldenResult }
	| { ok: false; code: ErrorCode; message: string };

/** JavaScript memory of a trial, MB; the models' own comes on top. */
const HEAP_MB = 256;

/**
 * Speaks a bundle's golden sentences in a child process.
 * @throws WattvoxError E_MODEL (it ended before it had a result), E_MEMORY (it was killed, as the system
 *   does where memory runs out, or was not started), and what loading throws;
 *   the signal's reason, after the child has been killed
 */
export async function runTrial(
	config: TrialConfig,
	signal: AbortSignal,
): Promise<GoldenResult> {
	signal.throwIfAborted();
	const main = new URL("./trial-main.js", import.meta.url);
	const child = forkHelper(main, config, HEAP_MB);
	const kill = () => child.kill("SIGKILL");
	signal.addEventListener("abort", kill, { once: true });
	let message: TrialMessage | undefined;
	child.on("message", (m: TrialMessage) => {
		message = m;
	});
	const end = await lastWord(child).finally(() =>
		signal.removeEventListener("abort", kill),
	);
	signal.throwIfAborted();
	if (!message && end === "SIGKILL")
		throw new WattvoxError(
			"E_MEMORY",
			"the trial was killed before it had spoken, perhaps for want of memory",
		);
	if (!message)
		throw new WattvoxError(
			"E_MODEL",
			`the trial ended (${end}) before it had spoken`,
		);
	if (message.ok) return message.result;
	throw new WattvoxError(message.code, message.message);
}
