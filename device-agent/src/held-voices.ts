import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { MANIFEST, parseManifest } from "@wattvox/bundle";
import { asWattvoxError, type Log, WattvoxError } from "@wattvox/core";
import type { Reason } from "./planner.ts";
import { type Active, goodOnes } from "./pointer.ts";
import type {
	EngineAt,
	OfferedVoice,
	VerifiedVoice,
} from "./speaker/messages.ts";
import { type VoiceSizes, voiceMemory } from "./speaker/voice-memory.ts";
import type { DeviceState } from "./state.ts";

export interface HeldVoicesOptions {
	state: DeviceState;
	log: Log;
	/** The engine that a voice would speak by now; none by default. */
	engineOf?: (digest: string) => EngineAt | undefined;
	/** What may be asked for has changed. */
	onOffers: () => void;
	/** One was found to be damaged. */
	onDamage: () => void;
}

interface Held extends OfferedVoice {
	sizes: VoiceSizes;
}

/**
 * The good voices on this disk, for which a request may ask.
 *
 * INVARIANTS
 * - Only voices that the pointer names are offered: each spoke its golden sentences well on this device,
 *   and none that was given up is among them.
 * - A voice is verified byte by byte each time before it is loaded beside the active one, or taken in its
 *   place. One that is not what was signed is offered no more, and forgotten.
 */
export class HeldVoices {
	readonly #o: HeldVoicesOptions;
	readonly #held = new Map<string, Held>();
	readonly #withdrawn = new Set<string>();
	readonly #damaged = new Set<string>();
	#active: Active | null = null;
	#offers: readonly Held[] = [];

	constructor(options: HeldVoicesOptions) {
		this.#o = options;
	}

	/** What may be asked for, the active one first, then the newest. */
	get offers(): readonly OfferedVoice[] {
		return this.#offers;
	}

	/** Voices whose files are not what was verified once. */
	get damaged(): ReadonlySet<string> {
		return this.#damaged;
	}

	/** Looks at what the pointer names now. */
	async hold(active: Active | null): Promise<void> {
		this.#active = active;
		const good = active ? goodOnes(active) : [];
		for (const digest of this.#held.keys())
			if (!good.includes(digest)) this.#held.delete(digest);
		// pulled anew it may be whole
		for (const digest of this.#damaged)
			if (!good.includes(digest)) this.#damaged.delete(digest);
		for (const digest of good) await this.#read(digest);
		this.#offer();
	}

	/**
	 * Verifies a voice to be loaded beside the active one.
	 * @throws WattvoxError E_VOICE_UNKNOWN (not offered any more), E_TAMPERED
	 */
	async verify(digest: string): Promise<VerifiedVoice> {
		const held = this.#held.get(digest);
		if (!held || !this.#offers.includes(held))
			throw new WattvoxError(
				"E_VOICE_UNKNOWN",
				`voice ${digest} is not on this device any more`,
			);
		await this.check(digest);
		const dir = this.#o.state.voiceDir(digest);
		const engine = this.#o.engineOf?.(digest);
		const memory = voiceMemory({ ...held.sizes, engine: engine?.size });
		return { digest, dir, memory, ...(engine && { engine }) };
	}

	/**
	 * Holds a good voice to what was signed, byte by byte.
	 * @throws WattvoxError E_TAMPERED; then it is offered no more and forgotten
	 */
	async check(digest: string): Promise<void> {
		const { state, log, onDamage } = this.#o;
		if (await state.intact(digest)) return;
		log.error({ bundle: digest }, "a voice is damaged");
		// The active one speaks from memory; the agent's next start looks after its files.
		if (digest !== this.#active?.digest) this.#damaged.add(digest);
		this.#offer();
		onDamage();
		throw new WattvoxError(
			"E_TAMPERED",
			`the files of voice ${this.#held.get(digest)?.id ?? digest} are damaged on this device`,
		);
	}

	/** Offers a voice no more until the agent starts again: it ended the speaker. */
	withdraw(digest: string, { code, message }: Reason): void {
		this.#o.log.error({ bundle: digest, code }, message);
		this.#withdrawn.add(digest);
		this.#offer();
	}

	async #read(digest: string): Promise<void> {
		if (this.#held.has(digest)) return;
		const path = join(this.#o.state.voiceDir(digest), MANIFEST);
		try {
			this.#held.set(digest, heldOf(digest, await readFile(path)));
		} catch (thrown) {
			// laid out no more: it is not offered
			const { message } = asWattvoxError(thrown);
			this.#o.log.debug({ bundle: digest }, message);
		}
	}

	#offer(): void {
		const good = this.#active ? goodOnes(this.#active) : [];
		const offers = good
			.filter((d) => !this.#withdrawn.has(d) && !this.#damaged.has(d))
			.flatMap((d) => this.#held.get(d) ?? []);
		const now = this.#offers;
		if (offers.length === now.length && offers.every((o, i) => o === now[i]))
			return;
		this.#offers = offers;
		this.#o.onOffers();
	}
}

function heldOf(digest: string, manifest: Uint8Array): Held {
	const { voice: id, language, base, files } = parseManifest(manifest);
	const size = (role: string) =>
		files.reduce((sum, f) => sum + (f.role === role ? f.size : 0), 0);
	const sizes = { text: size("text"), decoder: size("decoder") };
	return { id, digest, language, base: base.name, sizes };
}
