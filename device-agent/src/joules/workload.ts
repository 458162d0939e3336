import { asWattvoxError, type ErrorCode, WattvoxError } from "@wattvox/core";
import type { Speak } from "@wattvox/energy";
import { forkHelper, lastWord } from "../helper-process.ts";
import type { Runtime, VoiceAt } from "../speaker/messages.ts";

/** How the process is started; its only argument, as JSON. */
export interface WorkloadConfig {
	voice: VoiceAt;
	threads: number;
	/** The compiled shim; null: none. */
	tensorrt: string | null;
}

export interface ToWorkload {
	text: string;
}

export type FromWorkload =
	| { kind: "ready"; runtime: Runtime }
	| { kind: "spoke"; audioSeconds: number }
	| { kind: "failed"; code: ErrorCode; message: string };

/** A loaded voice that speaks for a measurement. */
export interface Workload {
	runtime: Runtime;
	speak: Speak;
	/** Ends it at once. Idempotent. */
	close(): void;
}

/** JavaScript memory, MB; the models' own comes on top. */
const HEAP_MB = 256;

/**
 * Loads a voice in a child process that speaks what it is told, and plays nothing.
 * @throws WattvoxError E_MODEL (it ended), E_MEMORY (it was not started), and what loading throws; the signal's reason, after the child
 *   was killed. `speak` throws the same
 */
export async function openWorkload(
	config: WorkloadConfig,
	signal: AbortSignal,
): Promise<Workload> {
	signal.throwIfAborted();
	const main = new URL("./workload-main.js", import.meta.url);
	const child = forkHelper(main, config, HEAP_MB);
	const close = () => {
		signal.removeEventListener("abort", close);
		child.kill("SIGKILL");
	};
	signal.addEventListener("abort", close, { once: true });
	let answer: (message: FromWorkload) => void = () => undefined;
	const ended = lastWord(child).then(
		(how): FromWorkload => ({
			kind: "failed",
			code: "E_MODEL",
			message: `the workload ended (${how}) before it had spoken`,
		}),
		(thrown): FromWorkload => {
			const { code, message } = asWattvoxError(thrown);
			return { kind: "failed", code, message };
		},
	);
	child.on("message", (message: FromWorkload) => answer(message));
	const next = async () => {
		const heard = new Promise<FromWorkload>((resolve) => {
			answer = resolve;
		});
		const message = await Promise.race([heard, ended]);
		signal.throwIfAborted();
		if (message.kind !== "failed") return message;
		throw new WattvoxError(message.code, message.message);
	};
	try {
		const ready = await next();
		if (ready.kind !== "ready")
			throw new WattvoxError("E_BUG", "it spoke before it was ready");
		return {
			runtime: ready.runtime,
			async speak(text) {
				const spoken = next();
				child.send({ text } satisfies ToWorkload, () => undefined);
				const said = await spoken;
				return { audioSeconds: said.kind === "spoke" ? said.audioSeconds : 0 };
			},
			close,
		};
	} catch (thrown) {
		close();
		throw thrown;
	}
}
