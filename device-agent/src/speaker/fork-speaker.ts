import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { SpeakerConfig } from "./messages.ts";

/**
 * A device has little memory, and this process computes outside JavaScript: a small young
 * generation and few malloc arenas take a quarter off its resident size.
 */
const LEAN = ["--max-semi-space-size=2", "--optimize-for-size"];

/** Starts a speaker process; what it says on standard error is the agent's. */
export function forkSpeaker(
	config: SpeakerConfig,
	main = new URL("./main.js", import.meta.url),
): ChildProcess {
	const child = fork(fileURLToPath(main), [JSON.stringify(config)], {
		stdio: ["ignore", "ignore", "inherit", "ipc"],
		execArgv: LEAN,
		env: { MALLOC_ARENA_MAX: "2", ...process.env },
	});
	// its end is heard as well
	child.once("error", () => undefined);
	return child;
}
