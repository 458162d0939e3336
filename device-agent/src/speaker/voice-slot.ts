import { WattvoxError } from "@wattvox/core";
import type { Voice } from "@wattvox/synth";
import { SharedVoice } from "./shared-voice.ts";

/**
 * The voice that speaks, exchangeable while it does.
 *
 * INVARIANTS
 * - An utterance keeps the voice it began with to its end; the next one has the new voice.
 * - A voice is freed when it is replaced and nobody speaks with it any more.
 * - When a new voice does not load, the old one stays.
 */
export class VoiceSlot {
	#current: SharedVoice | undefined;
	/** The engine that it was to speak by, whether it does or not. */
	#asked: string | null = null;
	#turn: Promise<unknown> = Promise.resolve();

	/** Digest of the bundle that speaks; null before any. */
	get digest(): string | null {
		return this.#current?.digest ?? null;
	}

	get voice(): Voice | undefined {
		return this.#current?.voice;
	}

	/** The engine that it speaks by; null: ONNX Runtime, or there is no voice. */
	get engine(): string | null {
		return this.#current?.engine ?? null;
	}

	/**
	 * Loads a voice beside the present one, then puts it in its place. One at a time, in order.
	 * @param load may also hand over one that others hold already, or one that speaks by something else
	 * @param engine the engine that it is to speak by; another one makes another voice of it
	 */
	swap(
		digest: string,
		load: () => Promise<Voice | SharedVoice>,
		engine: string | null = null,
	): Promise<void> {
		const turn = this.#turn.then(async () => {
			const now = this.#current;
			if (
				now?.digest === digest &&
				(engine === this.#asked || engine === now.engine)
			)
				return;
			const loaded = await load();
			const old = this.#current;
			this.#current =
				loaded instanceof SharedVoice
					? loaded
					: new SharedVoice(loaded, digest, engine);
			this.#asked = engine;
			await old?.retire();
		});
		this.#turn = turn.catch(() => undefined);
		return turn;
	}

	/**
	 * Works with the present voice, which stays loaded until the work ends.
	 * @throws WattvoxError E_NO_VOICE
	 */
	async use<T>(work: (voice: Voice, digest: string) => Promise<T>): Promise<T> {
		const loaded = this.#current;
		if (!loaded)
			throw new WattvoxError("E_NO_VOICE", "no voice has arrived yet");
		return loaded.use(work);
	}

	/** Frees the voice. */
	async close(): Promise<void> {
		await this.#turn;
		const loaded = this.#current;
		this.#current = undefined;
		await loaded?.retire();
	}
}
