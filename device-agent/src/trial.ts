import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { type ErrorCode, WattvoxError } from "@wattvox/core";
import type { GoldenLimits, GoldenResult } from "@wattvox/synth";

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
 *   does where memory runs out), and what loading throws;
 *   the signal's reason, after the child has been killed
 */
export async function runTrial(
	config: TrialConfig,
	signal: AbortSignal,
): Promise<GoldenResult> {
	signal.throwIfAborted();
	const main = fileURLToPath(new URL("./trial-main.js", import.meta.url));
	const child = fork(main, [JSON.stringify(config)], {
		stdio: ["ignore", "ignore", "inherit", "ipc"],
		execArgv: [`--max-old-space-size=${HEAP_MB}`],
	});
	const kill = () => child.kill("SIGKILL");
	signal.addEventListener("abort", kill, { once: true });
	let message: TrialMessage | undefined;
	child.on("message", (m: TrialMessage) => {
		message = m;
	});
	const end = await new Promise<string>((resolve) => {
		child.once("error", (error) => resolve(error.message));
		// not "exit": that may be heard before the last message, when several children end at once
		child.once("close", (code, by) => resolve(String(by ?? code)));
	});
	signal.removeEventListener("abort", kill);
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
