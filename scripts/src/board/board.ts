import type { Shell } from "./shell.ts";

/** A system with a systemd of its own to try the agent on. */
export interface Board {
	/** Where it runs, in words. */
	readonly what: string;
	/** This machine's loopback, seen from the board. */
	readonly host: string;
	/** Of the agent's speech API, on the board's loopback. */
	readonly port: number;
	/**
	 * Switches it on.
	 * @returns a shell of root's in it, before the system is all up
	 * @throws Error with its words when it ends; the signal's reason
	 */
	start(signal: AbortSignal): Promise<Shell>;
	/** Ends all of it at once, and waits until nothing of it is left running. Idempotent. */
	cut(): Promise<void>;
}
