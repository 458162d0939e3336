import type { Voice } from "@wattvox/synth";

/**
 * A loaded voice that several may speak with.
 *
 * INVARIANT: it is freed when it is retired and nobody holds it any more, and not before.
 */
export class SharedVoice {
	readonly voice: Voice;
	/** Of its bundle. */
	readonly digest: string;
	/** The engine that it speaks by; null: ONNX Runtime. */
	readonly engine: string | null;
	#holders = 0;
	#retired = false;

	constructor(voice: Voice, digest: string, engine: string | null = null) {
		this.voice = voice;
		this.digest = digest;
		this.engine = engine;
	}

	/** Somebody holds it. */
	get held(): boolean {
		return this.#holders > 0;
	}

	/** Keeps it loaded. @returns lets go of it; call it exactly once */
	hold(): () => Promise<void> {
		this.#holders++;
		return async () => {
			this.#holders--;
			if (this.#retired && this.#holders === 0) await this.voice.dispose();
		};
	}

	/** Works with it, which keeps it loaded until the work ends. */
	async use<T>(work: (voice: Voice, digest: string) => Promise<T>): Promise<T> {
		const letGo = this.hold();
		try {
			return await work(this.voice, this.digest);
		} finally {
			await letGo();
		}
	}

	/** Frees it, at once or when the last one lets go. */
	async retire(): Promise<void> {
		this.#retired = true;
		if (this.#holders === 0) await this.voice.dispose();
	}
}
