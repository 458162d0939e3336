import { WattvoxError } from "@wattvox/core";
import { type OfferedVoice, type Runtime, runtimeOf } from "./messages.ts";
import type { SharedVoice } from "./shared-voice.ts";
import type { Lease, VoiceShelf } from "./voice-shelf.ts";
import type { VoiceSlot } from "./voice-slot.ts";

/** A voice as `GET /v1/voices` lists it. */
export interface ListedVoice {
	/** Its name; the active one is first where two have one name. */
	id: string;
	bundle: string;
	/** BCP 47 tag. */
	language: string;
	/** Name of the base that it stands on; null: unknown. */
	base: string | null;
	/** It speaks when no voice is asked for. */
	active: boolean;
	loaded: boolean;
	/** What computes it; null: it is not loaded. */
	runtime: Runtime | null;
	/** The TensorRT engine that it speaks by; null: none. */
	engine: string | null;
	/** An estimate; null for the active one and for what is not loaded. */
	bytes: number | null;
}

/** Speaks with the voice that was chosen; see {@link VoiceSlot.use}. */
export type Use = SharedVoice["use"];

/** Which voice a request means, and how to come by it: the active one, or one of the shelf. */
export class VoiceChoice {
	readonly #slot: VoiceSlot;
	readonly #shelf: VoiceShelf | undefined;
	#offers: readonly OfferedVoice[] = [];

	constructor(slot: VoiceSlot, shelf?: VoiceShelf) {
		this.#slot = slot;
		this.#shelf = shelf;
	}

	/** Voices that may be asked for, by the agent's word; newest first. */
	async offer(offers: readonly OfferedVoice[]): Promise<void> {
		this.#offers = offers;
		await this.#shelf?.retain(new Set(offers.map((o) => o.digest)));
	}

	/** The active one first. */
	list(): ListedVoice[] {
		const { digest, voice, engine } = this.#slot;
		const loaded = new Map(this.#shelf?.loaded.map((l) => [l.digest, l]));
		const offer = this.#offers.find((o) => o.digest === digest);
		const active = digest !== null &&
			voice && {
				id: voice.config.name,
				bundle: digest,
				language: voice.config.language,
				base: offer?.base ?? null,
				active: true,
				loaded: true,
				runtime: runtimeOf(engine),
				engine,
				bytes: null,
			};
		const others = this.#offers
			.filter((o) => o.digest !== digest)
			.map(({ id, digest, language, base }) => {
				const here = loaded.get(digest);
				return {
					...{ id, bundle: digest, language, base, active: false },
					loaded: here !== undefined,
					runtime: here ? runtimeOf(here.engine) : null,
					engine: here?.engine ?? null,
					bytes: here?.bytes ?? null,
				};
			});
		return [...(active ? [active] : []), ...others];
	}

	/**
	 * The bundle that a request's `voice` means: "default" or nothing is the active one; a name, or the digest
	 * of a bundle, is the first that has it.
	 * @returns null: the active one
	 * @throws WattvoxError E_NO_VOICE, E_VOICE_UNKNOWN with the list
	 */
	find(asked: string | undefined): string | null {
		if (asked === undefined || asked === "default") return null;
		const voices = this.list();
		const found =
			voices.find((v) => v.bundle === asked) ??
			voices.find((v) => v.id === asked);
		if (found) return found.active ? null : found.bundle;
		if (voices.length === 0)
			throw new WattvoxError("E_NO_VOICE", "no voice has arrived yet");
		const names = voices.map((v) => `"${v.id}"`).join(", ");
		throw new WattvoxError(
			"E_VOICE_UNKNOWN",
			`no voice "${asked}"; there is ${names}`,
		);
	}

	/**
	 * Sees to it that a voice of the shelf is loaded, and keeps it so.
	 * @returns undefined: the active voice is meant, which needs nothing
	 * @throws as {@link find} and {@link VoiceShelf.borrow}
	 */
	async reserve(
		asked: string | undefined,
		signal: AbortSignal,
	): Promise<Lease | undefined> {
		const digest = this.find(asked);
		if (digest === null) return undefined;
		if (this.#shelf) return this.#shelf.borrow(digest, signal);
		throw new WattvoxError("E_MEMORY", "this speaker has one voice alone");
	}

	/** How to speak with what was reserved. */
	use(lease: Lease | undefined): Use {
		return lease
			? (work) => lease.shared.use(work)
			: (work) => this.#slot.use(work);
	}
}
