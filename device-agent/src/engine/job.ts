import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { type ErrorCode, WattvoxError } from "@wattvox/core";
import type { EngineAt } from "../speaker/messages.ts";
import type { EngineWish } from "./prepare.ts";

/** What a job is to do; its only argument, as JSON. */
export interface EngineJob {
	/** A laid-out bundle. */
	dir: string;
	/** Its digest. */
	voice: string;
	/** Path of its golden sentences; null when it has none. */
	golden: string | null;
	/** Folder of the engine cache. */
	cache: string;
	wish: EngineWish;
	/** Builder keys that are trusted now. */
	builders: readonly string[];
	threads: number;
	/** The compiled shim. */
	shim: string;
}

/** What is worth a line in the log. */
export interface EngineFigures {
	/** Built now, not found. */
	fresh: boolean;
	errorDb: number;
	limitDb: number;
	realTimeFactor: number | null;
}

export type EngineJobMessage =
	| { kind: "note"; line: string }
	| { kind: "ready"; engine: EngineAt; figures: EngineFigures }
	| { kind: "failed"; code: ErrorCode; message: string };

/** JavaScript memory of a job, MB: a model's graph, its weights and golden runs. */
const HEAP_MB = 512;
/** How long it may take to end its own children, ms. */
const GRACE_MS = 3000;

/**
 * Finds or builds an engine and tries it, in a child process, which has children of its own for what is
 * native.
 * @param main what the process runs; another one only in tests
 * @throws WattvoxError by its code; E_ENGINE_CRASH when it ended without a word; the signal's reason, after
 *   the child has ended
 */
export async function runEngineJob(
	job: EngineJob,
	options: {
		signal: AbortSignal;
		note: (line: string) => void;
		main?: URL | undefined;
	},
): Promise<{ engine: EngineAt; figures: EngineFigures }> {
	const { signal, note } = options;
	signal.throwIfAborted();
	const main = options.main ?? new URL("./job-main.js", import.meta.url);
	const child = fork(fileURLToPath(main), [JSON.stringify(job)], {
		stdio: ["ignore", "ignore", "inherit", "ipc"],
		execArgv: [`--max-old-space-size=${HEAP_MB}`],
	});
	let timer: NodeJS.Timeout | undefined;
	const stop = () => {
		child.kill("SIGTERM");
		timer = setTimeout(() => child.kill("SIGKILL"), GRACE_MS);
	};
	signal.addEventListener("abort", stop, { once: true });
	let last: Exclude<EngineJobMessage, { kind: "note" }> | undefined;
	child.on("message", (message: EngineJobMessage) => {
		if (message.kind === "note") note(message.line);
		else last = message;
	});
	const end = await new Promise<string>((resolve) => {
		child.once("error", (error) => resolve(error.message));
		child.once("exit", (code, by) => resolve(String(by ?? code)));
	});
	clearTimeout(timer);
	signal.removeEventListener("abort", stop);
	signal.throwIfAborted();
	if (!last)
		throw new WattvoxError("E_ENGINE_CRASH", `the engine's job ended (${end})`);
	if (last.kind === "failed") throw new WattvoxError(last.code, last.message);
	return last;
}
