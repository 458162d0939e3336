import type { Progress } from "@wattvox/core";
import type { Clip } from "./clips.ts";
import type { SpeakerEncoder } from "./speaker-encoder.ts";
import { listen, type Utterance } from "./utterance.ts";

export interface EarsOptions {
	encoder?: SpeakerEncoder | undefined;
	/** Whether recordings and syntheses go to the recogniser. */
	words: boolean;
	/** Recognisers at a time. */
	jobs: number;
	progress: Progress;
	signal?: AbortSignal | undefined;
}

/** Listens to sets of clips with the same instruments, and says how far it is. */
export class Ears {
	readonly #options: EarsOptions;

	constructor(options: EarsOptions) {
		this.#options = options;
	}

	/** All there is to hear: words, voice and pitch. */
	all(label: string, clips: readonly Clip[]): Promise<Utterance[]> {
		return this.#hear(label, clips, this.#options.words, true);
	}

	/** The voice alone: no words, no pitch. */
	voice(label: string, clips: readonly Clip[]): Promise<Utterance[]> {
		return this.#hear(label, clips, false, false);
	}

	async #hear(
		label: string,
		clips: readonly Clip[],
		words: boolean,
		pitch: boolean,
	): Promise<Utterance[]> {
		const { encoder, jobs, progress, signal } = this.#options;
		const task = progress.task(label, clips.length);
		try {
			const heard = await listen(clips, {
				words,
				pitch,
				jobs,
				encoder,
				signal,
				onDone: (n) => task.update(n),
			});
			task.finish();
			return heard;
		} catch (thrown) {
			task.fail();
			throw thrown;
		}
	}
}
