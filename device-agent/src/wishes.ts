import type { Trust } from "@wattvox/bundle";
import { asWattvoxError } from "@wattvox/core";
import { type Desired, readDesired, type SignedDesired } from "@wattvox/link";
import type { Floors } from "./floors.ts";
import type { Reason } from "./planner.ts";
import type { DeviceState } from "./state.ts";

/**
 * What the fleet wants of this device.
 *
 * INVARIANTS
 * - Only a desired state signed by a trusted key, for this very device, is taken; and it is acted on
 *   only while that key is trusted.
 * - Its revision only rises, across restarts too: it is on disk before anything acts on it.
 */
export class Wishes {
	readonly #state: DeviceState;
	readonly #to: { fleet: string; device: string };
	readonly #trust: Trust;
	readonly #floors: Floors;
	#newest: (SignedDesired & { payload: Buffer }) | undefined;
	#kept: SignedDesired | null = null;

	constructor(
		state: DeviceState,
		to: { fleet: string; device: string },
		trust: Trust,
		floors: Floors,
	) {
		this.#state = state;
		this.#to = to;
		this.#trust = trust;
		this.#floors = floors;
	}

	/** What may be acted on. */
	get current(): Desired | null {
		return this.#trusted(this.#kept)?.desired ?? null;
	}

	/** Reads what an earlier run kept. */
	async recall(): Promise<void> {
		this.#kept = await this.#state.desired(this.#to, this.#trust);
		// written before the floors: a crash in between left them behind
		if (this.#kept) await this.#floors.raise(this.#kept);
	}

	/**
	 * Hears a message.
	 * @returns "new"; "known": said before; or why it is refused
	 */
	hear(payload: Buffer): "new" | "known" | Reason {
		let read: SignedDesired;
		try {
			read = readDesired(payload, this.#to, this.#trust);
		} catch (thrown) {
			const { code, message } = asWattvoxError(thrown);
			return { code, message };
		}
		const { revision } = read.desired;
		const floor = Math.max(
			this.#floors.revision,
			this.current?.revision ?? 0,
			this.#trusted(this.#newest)?.desired.revision ?? 0,
		);
		// a floor without the state that set it: the disk lost that, so it is welcome again
		if (revision === floor && (this.#newest ?? this.current)) return "known";
		if (revision < floor)
			return {
				code: "E_SIGNATURE",
				message: `desired revision ${revision} is below ${floor}, which was obeyed before`,
			};
		this.#newest = { ...read, payload };
		return "new";
	}

	/** Brings the newest to disk; from then on it is {@link current}. @throws WattvoxError E_OUTPUT, E_DISK_FULL */
	async keep(): Promise<void> {
		const newest = this.#newest;
		if (!newest) return;
		await this.#state.setDesired(newest.payload);
		await this.#floors.raise(newest);
		this.#kept = { desired: newest.desired, signer: newest.signer };
		if (this.#newest === newest) this.#newest = undefined;
	}

	#trusted<T extends SignedDesired>(read: T | null | undefined): T | undefined {
		return read && this.#trust.find(read.signer, "desired") ? read : undefined;
	}
}
