import type { AsideState, FromSpeaker, Runtime, VoiceAt } from "./messages.ts";
import { type OpenEngine, suspects } from "./suspects.ts";

/**
 * What a speaker process was asked to speak with, and what it answered.
 *
 * INVARIANT: an answer counts for what it is numbered after; that to an earlier ask may still be under way.
 */
export class Assignment {
	#asked = 0;
	#answered = 0;
	#loading: string | null = null;
	/** The engine that it was last asked to use; null: none, or it could not. */
	#given: string | null = null;
	#digest: string | null = null;
	#engine: string | null = null;
	#runtime: Runtime | null = null;

	/** What it is to load, until it answers. */
	get loading(): string | null {
		return this.#loading;
	}

	/** What it speaks with; null: nothing. */
	get digest(): string | null {
		return this.#digest;
	}

	/** The engine that it speaks by; null: none. */
	get engine(): string | null {
		return this.#engine;
	}

	/** What computes; null: it has no voice. */
	get runtime(): Runtime | null {
		return this.#runtime;
	}

	/** Asks for a voice; null: for none, which needs no answer. @returns the number of its answer */
	ask(voice: VoiceAt | null): number {
		this.#loading = voice?.digest ?? null;
		this.#given = voice?.engine?.id ?? null;
		const ask = ++this.#asked;
		if (!voice) this.#answered = ask;
		return ask;
	}

	/** What had this number was answered, or something that was asked later. */
	isAnswered(ask: number): boolean {
		return this.#answered >= ask;
	}

	/** It speaks with something else. @returns whether that is what was asked for last */
	loaded(message: Extract<FromSpeaker, { kind: "loaded" }>): boolean {
		const { ask, digest, engine, runtime, trouble } = message;
		this.#digest = digest;
		this.#engine = trouble ? null : engine;
		this.#runtime = runtime;
		const newest = this.answered(ask);
		// what it could not use is not asked for any more
		if (newest) this.#given = this.#engine;
		return newest;
	}

	/** It answered, be it that it cannot. @returns whether that was to what was asked last */
	answered(ask: number): boolean {
		this.#answered = ask;
		if (ask !== this.#asked) return false;
		this.#loading = null;
		return true;
	}

	/** The process has ended; what it was loading stays, to be asked for again. */
	ended(): void {
		this.#digest = null;
		this.#given = null;
		this.#engine = null;
		this.#runtime = null;
	}

	/**
	 * The engines with which the process may have ended; ask before {@link ended}.
	 * @param aside what it was loading beside, and the engines that it had open for that
	 * @param speaking voices with an utterance under way
	 */
	suspects(
		aside: { state: AsideState; engines: readonly OpenEngine[] },
		speaking: ReadonlySet<string>,
	): OpenEngine[] {
		const open = [
			{ digest: this.#digest, engine: this.#engine },
			{ digest: this.#loading ?? this.#digest, engine: this.#given },
			...aside.engines,
		].filter((o): o is OpenEngine => o.digest !== null && o.engine !== null);
		const busy = [this.#loading, aside.state.loading];
		const loading = busy.filter((digest) => digest !== null);
		return suspects(open, new Set(loading), speaking);
	}
}
