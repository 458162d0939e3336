import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { asWattvoxError, WattvoxError } from "@wattvox/core";

/**
 * Starts a process that does one thing for the agent and tells it so over IPC.
 * @param config its only argument, as JSON
 * @param heapMb JavaScript memory, MB; what is native comes on top
 * @throws WattvoxError E_MEMORY when the system starts no process; see {@link lastWord} too
 */
export function forkHelper(
	main: URL,
	config: unknown,
	heapMb: number,
): ChildProcess {
	try {
		return fork(fileURLToPath(main), [JSON.stringify(config)], {
			stdio: ["ignore", "ignore", "inherit", "ipc"],
			execArgv: [`--max-old-space-size=${heapMb}`],
		});
	} catch (thrown) {
		throw notStarted(thrown);
	}
}

/**
 * Waits until a process has ended and all that it said was heard.
 * @returns its exit code or the signal that ended it
 * @throws WattvoxError E_MEMORY when the system did not start it, which says nothing of what it was to do
 */
export function lastWord(child: ChildProcess): Promise<string> {
	return new Promise((resolve, reject) => {
		// not "exit": that may be heard before the last message, when several children end at once
		child.once("close", (code, by) => resolve(String(by ?? code)));
		child.on("error", (error) => {
			// with a process there, it is a signal or a message that did not reach it
			if (child.pid === undefined) reject(notStarted(error));
		});
	});
}

function notStarted(thrown: unknown): WattvoxError {
	const { message, cause } = asWattvoxError(thrown);
	return new WattvoxError(
		"E_MEMORY",
		`the system starts no process: ${message}`,
		{ cause },
	);
}
