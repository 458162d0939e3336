import { type ChildProcess, spawn } from "node:child_process";
import { basename } from "node:path";
import { type Clock, systemClock, WattvoxError } from "@wattvox/core";
import { Playhead } from "@wattvox/synth";
import type { Player } from "./player.ts";
import { pcm16 } from "./wav-stream.ts";

export interface PlayOptions {
	player: Player;
	/** Samples per second. */
	rate: number;
	/** Stops the sound. */
	signal: AbortSignal;
	/** A player that takes nothing for this long, or ends this long after its sound should have, is stuck; ms. Default 10 000. */
	stuckMs?: number | undefined;
	clock?: Clock;
}

export interface Played {
	/** Of sound. */
	seconds: number;
	/** From the call to the first samples that the player was given; its own buffer comes on top. */
	firstSoundMs: number;
	/** How often the player had nothing to play before the end: by the clock, or by its own word where that is more. */
	underruns: number;
	/** How long that was by the clock, s. */
	drySeconds: number;
}

/** A player that is told to end gets this long, ms: ALSA's mixer is shared memory that it must leave in order. */
const GRACE_MS = 1000;
/** What is kept of a player's last words. */
const WORDS = 300;

/**
 * Plays samples through a system player and waits until they have been heard.
 *
 * INVARIANTS
 * - Whatever the player does, this ends, and the player's processes with it.
 * - No more is computed ahead than the player's pipe holds.
 *
 * @throws WattvoxError E_PLAYER when it cannot be started, ends early or is stuck; what `chunks` throws;
 *   the signal's reason
 */
export async function play(
	chunks: AsyncIterable<Float32Array>,
	options: PlayOptions,
): Promise<Played> {
	const { rate, signal, stuckMs = 10_000, clock = systemClock } = options;
	signal.throwIfAborted();
	const begun = clock.monotonic();
	const player = new Playing(options.player, rate, clock);
	const head = new Playhead();
	let firstSoundMs = 0;
	try {
		for await (const chunk of chunks) {
			const now = clock.monotonic();
			if (head.seconds === 0) firstSoundMs = now - begun;
			head.gave(chunk.length / rate, now / 1000);
			await player.write(pcm16(chunk), stuckMs, signal);
		}
		const left = head.left(clock.monotonic() / 1000) * 1000;
		await player.drain(left + stuckMs, signal);
	} finally {
		await player.end();
	}
	const { seconds, drySeconds } = head;
	const underruns = Math.max(head.underruns, player.underruns);
	return { seconds, firstSoundMs, underruns, drySeconds };
}

/** A player's process. */
class Playing {
	/** By its own word (aplay's). */
	underruns = 0;
	readonly #name: string;
	readonly #clock: Clock;
	readonly #child: ChildProcess;
	/** How it ended; "" as it should. Settles always, and never rejects. */
	readonly #ended: Promise<string>;
	#how: string | undefined;
	#words = "";

	constructor({ program, args }: Player, rate: number, clock: Clock) {
		this.#name = basename(program);
		this.#clock = clock;
		this.#child = spawn(program, args(rate), {
			stdio: ["pipe", "ignore", "pipe"],
			env: quietEnv(),
			// A group of its own: Ctrl-C is the agent's to hear, and what a wrapper started ends with it.
			detached: true,
		});
		this.#ended = new Promise((resolve) => {
			const over = (how: string) => {
				this.#how ??= how;
				resolve(this.#how);
			};
			this.#child.once("error", (error) => over(error.message));
			this.#child.once("close", (code, by) =>
				over(code === 0 ? "" : `it ended with ${by ?? code}`),
			);
		});
		// a player that is gone is heard of by its end
		this.#child.stdin?.on("error", () => undefined);
		this.#child.stderr?.setEncoding("utf8").on("data", (text: string) => {
			const lines = (this.#words + text).split("\n");
			for (const line of lines.slice(0, -1))
				if (/^underrun!!!/.test(line)) this.underruns++;
			// the line that is not whole yet, and the one before it for an error's message
			this.#words = lines.slice(-2).join("\n").slice(-WORDS);
		});
	}

	/** Waits until there is room again. */
	async write(
		bytes: Uint8Array,
		ms: number,
		signal: AbortSignal,
	): Promise<void> {
		if (this.#how !== undefined) throw this.#early();
		const { stdin } = this.#child;
		if (stdin?.write(bytes)) return;
		await this.#within(
			ms,
			new Promise<void>((resolve) => stdin?.once("drain", resolve)),
			signal,
		);
		if (this.#how !== undefined) throw this.#early();
	}

	/** There is no more: waits until it has played what it has. */
	async drain(ms: number, signal: AbortSignal): Promise<void> {
		if (this.#how !== undefined) throw this.#early();
		this.#child.stdin?.end();
		await this.#within(ms, this.#ended, signal);
		if (this.#how) throw this.#early();
	}

	/** Ends it if it has not. */
	async end(): Promise<void> {
		this.#child.stdin?.destroy();
		if (this.#how === undefined) {
			this.#kill("SIGTERM");
			const timer = setTimeout(() => {
				this.#kill("SIGKILL");
				// one that left the group may hold it open
				this.#child.stderr?.destroy();
			}, GRACE_MS);
			await this.#ended;
			clearTimeout(timer);
		}
	}

	/** Waits for `done`, the player's end, the limit or the signal, whichever comes first. */
	async #within(
		ms: number,
		done: Promise<unknown>,
		signal: AbortSignal,
	): Promise<void> {
		const settled = new AbortController();
		const limit = this.#clock
			.sleep(ms, AbortSignal.any([signal, settled.signal]))
			.then(() => {
				throw new WattvoxError(
					"E_PLAYER",
					`${this.#name} is stuck: it was given up after ${Math.round(ms)} ms`,
				);
			});
		try {
			await Promise.race([done, this.#ended, limit]);
		} finally {
			settled.abort();
		}
	}

	#early(): WattvoxError {
		const how = this.#how || "it ended before its sound";
		const words = this.#words.trim().replaceAll("\n", "; ");
		return new WattvoxError(
			"E_PLAYER",
			`${this.#name}: ${how}${words && `: ${words}`}`,
		);
	}

	#kill(signal: NodeJS.Signals): void {
		const { pid } = this.#child;
		try {
			if (pid !== undefined) process.kill(-pid, signal);
		} catch {
			// nobody is left in its group
		}
	}
}

/** Its messages untranslated, and none of our secrets. */
function quietEnv(): NodeJS.ProcessEnv {
	const kept = Object.entries(process.env).filter(
		([name]) => !name.startsWith("WATTVOX_"),
	);
	return { ...Object.fromEntries(kept), LC_ALL: "C" };
}
