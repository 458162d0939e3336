import { asWattvoxError } from "@wattvox/core";
import type { Reason } from "../planner.ts";
import type {
	AsideState,
	FromSpeaker,
	ToSpeaker,
	VerifiedVoice,
} from "./messages.ts";
import type { OpenEngine } from "./suspects.ts";

export interface AsidesOptions {
	/** @throws WattvoxError when a voice may not be loaded */
	verify: (digest: string) => Promise<VerifiedVoice>;
	/** It ended the process, again and again, while it was loaded. */
	onTrouble: (digest: string, reason: Reason) => void;
	send: (message: ToSpeaker) => void;
}

/** Deaths of the speaker while it loaded one voice beside the active one: each is a silence. */
const DEATHS = 2;

const NONE: AsideState = { loaded: [], loading: null };

/** The agent's side of the voices that its speaker loads beside the active one. */
export class Asides {
	readonly #o: AsidesOptions;
	readonly #deaths = new Map<string, number>();
	/** The engine that each was last to be loaded with. */
	readonly #given = new Map<string, string>();
	#state = NONE;
	/** Rises with every process: none is answered what the one before it asked. */
	#life = 0;

	constructor(options: AsidesOptions) {
		this.#o = options;
	}

	get state(): AsideState {
		return this.#state;
	}

	/** The engines that it has open for them, or is opening. */
	get engines(): OpenEngine[] {
		const { loaded, loading } = this.#state;
		const given = loading === null ? undefined : this.#given.get(loading);
		return [
			...loaded.flatMap(({ digest, engine }) =>
				engine === null ? [] : { digest, engine },
			),
			...(loading !== null && given !== undefined
				? [{ digest: loading, engine: given }]
				: []),
		];
	}

	/** Answers what the speaker asks, and takes in what it says. */
	heard(message: Extract<FromSpeaker, { kind: "want" | "aside" }>): void {
		if (message.kind === "want") {
			void this.#verify(message.digest);
			return;
		}
		const { loaded, loading } = message;
		this.#state = { loaded, loading };
		for (const { digest } of loaded) this.#deaths.delete(digest);
	}

	/**
	 * The process has ended.
	 * @param blamed voices whose engine is to blame: they may be good without it
	 */
	ended(how: string, blamed: ReadonlySet<string> = new Set()): void {
		const { loading } = this.#state;
		this.#state = NONE;
		this.#life++;
		if (loading === null || blamed.has(loading)) return;
		const deaths = (this.#deaths.get(loading) ?? 0) + 1;
		this.#deaths.set(loading, deaths);
		if (deaths < DEATHS) return;
		this.#deaths.delete(loading);
		this.#o.onTrouble(loading, {
			code: "E_MODEL",
			message: `the speaker ended (${how}) ${deaths} times while loading this voice beside the active one`,
		});
	}

	async #verify(digest: string): Promise<void> {
		const { verify } = this.#o;
		const life = this.#life;
		const send = (message: ToSpeaker) => {
			if (life === this.#life) this.#o.send(message);
		};
		try {
			const voice = await verify(digest);
			if (life !== this.#life) return;
			if (voice.engine) this.#given.set(digest, voice.engine.id);
			else this.#given.delete(digest);
			send({ kind: "verified", voice });
		} catch (thrown) {
			const { code, message } = asWattvoxError(thrown);
			send({ kind: "refused", digest, code, message });
		}
	}
}
