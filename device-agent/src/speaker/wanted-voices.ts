import { WattvoxError } from "@wattvox/core";
import type { FromSpeaker, ToSpeaker, VerifiedVoice } from "./messages.ts";

interface Waiting {
	resolve: (voice: VerifiedVoice) => void;
	reject: (reason: WattvoxError) => void;
}

/** Asks the agent for voices: nothing is loaded here that it has not verified for that very purpose. */
export class WantedVoices {
	readonly #tell: (message: FromSpeaker) => void;
	readonly #waiting = new Map<string, Waiting>();

	#ended = false;

	constructor(tell: (message: FromSpeaker) => void) {
		this.#tell = tell;
	}

	/** Call it for one voice at a time. @throws WattvoxError by why the agent refuses it */
	verified(digest: string): Promise<VerifiedVoice> {
		if (this.#ended) return Promise.reject(stopping());
		return new Promise((resolve, reject) => {
			this.#waiting.set(digest, { resolve, reject });
			this.#tell({ kind: "want", digest });
		});
	}

	/** The agent has answered. */
	heard(message: Extract<ToSpeaker, { kind: "verified" | "refused" }>): void {
		const digest =
			message.kind === "verified" ? message.voice.digest : message.digest;
		const asked = this.#waiting.get(digest);
		this.#waiting.delete(digest);
		if (message.kind === "verified") asked?.resolve(message.voice);
		else asked?.reject(new WattvoxError(message.code, message.message));
	}

	/** The agent will answer no more, or shall not: what waits is refused. */
	end(): void {
		this.#ended = true;
		for (const { reject } of this.#waiting.values()) reject(stopping());
		this.#waiting.clear();
	}
}

function stopping(): WattvoxError {
	return new WattvoxError("E_INTERRUPTED", "the speaker stops");
}
