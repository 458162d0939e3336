import { type ErrorCode, WattvoxError } from "@wattvox/core";
import type { EngineKey } from "@wattvox/runtime/tensorrt";
import { forkHelper, lastWord } from "../helper-process.ts";
import type { EngineAt } from "../speaker/messages.ts";
import { EngineAbsent } from "./absent.ts";
import type { EngineWish, PrepareOptions } from "./prepare.ts";

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
	/** Where the engine may come from. */
	from: NonNullable<PrepareOptions["from"]>;
	/** Whether its parent can bring engines that a build station made. */
	ask: boolean;
	threads: number;
	/** The compiled shim. */
	shim: string;
}

/** What is worth a line in the log. */
export interface EngineFigures {
	/** Built now, not found. */
	fresh: boolean;
	/** The key that signed it, where another device built it. */
	signer: string | null;
	errorDb: number;
	limitDb: number;
	realTimeFactor: number | null;
}

export type EngineJobMessage =
	| { kind: "note"; line: string }
	/** Asks for an engine; the answer is an {@link EngineJobAnswer}. */
	| { kind: "wanted"; key: EngineKey }
	| { kind: "ready"; engine: EngineAt; figures: EngineFigures }
	| { kind: "failed"; code: ErrorCode; message: string }
	/** Nothing failed: there is none of these yet. */
	| { kind: "absent"; keys: readonly EngineKey[]; message: string };

/** To "wanted": the builder key that signed the engine that is in the cache now; null: none could be had. */
export interface EngineJobAnswer {
	kind: "brought";
	signer: string | null;
}

/** JavaScript memory of a job, MB: a model's graph, its weights and golden runs. */
const HEAP_MB = 512;
/** How long it may take to end its own children, ms. */
const GRACE_MS = 3000;

/**
 * Finds or builds an engine and tries it, in a child process, which has children of its own for what is
 * native.
 * @param options `bring`: brings an engine into the cache, and says which trusted key signed it; `main`: what
 *   the process runs, another one only in tests
 * @throws EngineAbsent; WattvoxError by its code; E_ENGINE_CRASH when it ended without a word, E_MEMORY when it was not started; the signal's reason, after
 *   the child has ended
 */
export async function runEngineJob(
	job: Omit<EngineJob, "ask">,
	options: {
		signal: AbortSignal;
		note: (line: string) => void;
		bring?:
			| ((key: EngineKey, signal: AbortSignal) => Promise<string | null>)
			| undefined;
		main?: URL | undefined;
	},
): Promise<{ engine: EngineAt; figures: EngineFigures }> {
	const { signal, note, bring } = options;
	signal.throwIfAborted();
	const main = options.main ?? new URL("./job-main.js", import.meta.url);
	const whole: EngineJob = { ...job, ask: bring !== undefined };
	const child = forkHelper(main, whole, HEAP_MB);
	let timer: NodeJS.Timeout | undefined;
	const stop = () => {
		child.kill("SIGTERM");
		timer = setTimeout(() => child.kill("SIGKILL"), GRACE_MS);
	};
	signal.addEventListener("abort", stop, { once: true });
	const over = new AbortController();
	const answer = async (key: EngineKey) => {
		const either = AbortSignal.any([signal, over.signal]);
		const signer = (await bring?.(key, either).catch(() => null)) ?? null;
		const brought: EngineJobAnswer = { kind: "brought", signer };
		// to one that has ended meanwhile it is of no use
		if (child.connected) child.send(brought, () => undefined);
	};
	let last: Exclude<EngineJobMessage, { kind: "note" | "wanted" }> | undefined;
	let bringing: Promise<void> | undefined;
	child.on("message", (message: EngineJobMessage) => {
		if (message.kind === "note") note(message.line);
		else if (message.kind === "wanted") bringing = answer(message.key);
		else last = message;
	});
	const end = await lastWord(child).finally(() => {
		signal.removeEventListener("abort", stop);
		clearTimeout(timer);
		over.abort();
	});
	await bringing;
	signal.throwIfAborted();
	if (!last)
		throw new WattvoxError("E_ENGINE_CRASH", `the engine's job ended (${end})`);
	if (last.kind === "absent") throw new EngineAbsent(last.keys, last.message);
	if (last.kind === "failed") throw new WattvoxError(last.code, last.message);
	return last;
}
