import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { type ErrorCode, WattvoxError } from "@wattvox/core";
import type { Feeds } from "../engine.ts";
import { LEASH, leashed, MEMORY_BYTES } from "./leash.ts";
import type {
	BuildOptions,
	BuildProgress,
	BuiltEngine,
	Limits,
	Ports,
	Refitted,
	TensorRtFacts,
	Trial,
	Weights,
} from "./types.ts";

/** What a child can be asked to do; `library` is the shim's path. */
export type Task =
	| { kind: "facts"; library: string }
	| {
			kind: "build";
			library: string;
			onnx: Uint8Array | string;
			options: BuildOptions & { timingCache?: Uint8Array | undefined };
	  }
	| {
			kind: "trial";
			library: string;
			engine: Uint8Array | string;
			ports?: Ports | undefined;
			feeds: readonly Feeds[];
	  }
	| {
			kind: "refit";
			library: string;
			engine: string;
			weights: Weights;
			needed: readonly string[] | undefined;
			out: string;
	  };

/** What each task gives. */
export interface Outcomes {
	facts: TensorRtFacts;
	build: BuiltEngine;
	trial: Trial;
	refit: Refitted;
}

/** What the child says. */
export type ChildMessage =
	| { kind: "progress"; progress: BuildProgress }
	| { kind: "done"; value: unknown }
	| { kind: "failed"; code: ErrorCode; message: string };

const MINUTE_MS = 60_000;
const DEADLINES_MS = {
	facts: 2 * MINUTE_MS,
	build: 30 * MINUTE_MS,
	trial: 2 * MINUTE_MS,
	refit: 2 * MINUTE_MS,
};
/** JavaScript memory of a child, MB: plans and models are outside it. */
const HEAP_MB = 256;
/** How much of what a child complained of is kept, characters. */
const COMPLAINT = 2000;

/**
 * Does one task in a child process of its own, with a deadline and a memory limit. However the child
 * ends, this process goes on, and no child is left behind.
 *
 * @throws WattvoxError what the task throws; E_TIMEOUT, E_INTERRUPTED, E_MEMORY and E_ENGINE_CRASH by how
 *   the child ended; E_TENSORRT when there is no `setpriv` (util-linux)
 */
export async function runIsolated<K extends Task["kind"]>(
	task: Extract<Task, { kind: K }>,
	limits: Limits = {},
	onProgress: (progress: BuildProgress) => void = () => undefined,
): Promise<Outcomes[K]> {
	const { signal } = limits;
	if (signal?.aborted) throw interrupted();
	const deadline = limits.deadlineMs ?? DEADLINES_MS[task.kind as K];
	const memory = limits.memoryBytes ?? MEMORY_BYTES;
	const child = start(memory);
	let said: ChildMessage | undefined;
	let ours: WattvoxError | undefined;
	const kill = (why: WattvoxError) => {
		ours ??= why;
		child.kill("SIGKILL");
	};
	const timer = setTimeout(
		() =>
			kill(
				new WattvoxError(
					"E_TIMEOUT",
					`the ${task.kind} took longer than ${deadline / 1000} s and was stopped`,
				),
			),
		deadline,
	);
	const onAbort = () => kill(interrupted());
	signal?.addEventListener("abort", onAbort, { once: true });
	child.on("message", (message: ChildMessage) => {
		if (message.kind === "progress") onProgress(message.progress);
		else said = message;
	});
	const complaint = listen(child);
	try {
		const ended = endOf(child);
		child.send(task, (error) => {
			// A child that ended before it heard is explained by its end.
			if (error && child.exitCode === null) child.kill("SIGKILL");
		});
		const { code, by } = await ended;
		if (said?.kind === "done") return said.value as Outcomes[K];
		if (said?.kind === "failed")
			throw new WattvoxError(said.code, said.message);
		throw ours ?? explained(task.kind, code, by, complaint(), memory);
	} finally {
		clearTimeout(timer);
		signal?.removeEventListener("abort", onAbort);
	}
}

function start(memory: number): ChildProcess {
	const main = fileURLToPath(new URL("./isolated-main.js", import.meta.url));
	// The channel's end tells the child too that its parent is gone, but only one whose event loop turns.
	const heap = `--max-old-space-size=${HEAP_MB}`;
	const [program, args] = leashed(memory, process.execPath, [heap, main]);
	return spawn(program, args, {
		// TensorRT's own prints are no output of ours; its log comes with the result.
		stdio: ["ignore", "ignore", "pipe", "ipc"],
		serialization: "advanced",
	});
}

/** Collects the end of what the child writes on standard error. */
function listen(child: ChildProcess): () => string {
	let tail = "";
	child.stderr?.setEncoding("utf8").on("data", (text: string) => {
		tail = (tail + text).slice(-COMPLAINT);
	});
	return () => tail.trim();
}

/** When the child has ended and all that it said has arrived. */
function endOf(
	child: ChildProcess,
): Promise<{ code: number | null; by: NodeJS.Signals | null }> {
	return new Promise((resolve, reject) => {
		child.once("error", (error: NodeJS.ErrnoException) => {
			if (child.pid !== undefined) return;
			reject(
				new WattvoxError(
					"E_TENSORRT",
					error.code === "ENOENT"
						? `there is no ${LEASH[0]} (package util-linux) to bind a child to this process with`
						: `no child process: ${error.message}`,
					{ cause: error },
				),
			);
		});
		child.once("close", (code, by) => resolve({ code, by }));
	});
}

/** Why a child ended that said nothing and that we did not kill. */
function explained(
	kind: string,
	code: number | null,
	by: NodeJS.Signals | null,
	complaint: string,
	memory: number,
): WattvoxError {
	const said = complaint
		? `: ${complaint.split("\n").slice(-3).join(" | ")}`
		: "";
	const limit = `its limit is ${Math.round(memory / 2 ** 20)} MiB`;
	if (/bad_alloc|out of memory|Cannot allocate memory/i.test(complaint))
		return new WattvoxError(
			"E_MEMORY",
			`the ${kind} ran out of memory, ${limit}${said}`,
		);
	if (by === "SIGKILL")
		return new WattvoxError(
			"E_MEMORY",
			`the ${kind} was killed, as the kernel does when memory runs out; ${limit}`,
		);
	return new WattvoxError(
		"E_ENGINE_CRASH",
		`the ${kind} crashed (${by ?? `exit status ${code}`})${said}`,
	);
}

function interrupted(): WattvoxError {
	return new WattvoxError("E_INTERRUPTED", "TensorRT's work was abandoned");
}
