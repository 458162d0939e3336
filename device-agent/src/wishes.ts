import type { Trust } from "@wattvox/bundle";
import { asWattvoxError } from "@wattvox/core";
import { type Desired, decodeDesired } from "@wattvox/link";
import type { Reason } from "./planner.ts";
import type { DeviceState } from "./state.ts";

/**
 * What the fleet wants of this device.
 *
 * INVARIANTS
 * - Only a desired state signed by a trusted key, for this very device, is taken.
 * - Its revision only rises, across restarts too: it is on disk before anything acts on it.
 */
export class Wishes {
	readonly #state: DeviceState;
	readonly #to: { fleet: string; device: string };
	readonly #trust: Trust;
	#newest: { desired: Desired; payload: Buffer } | undefined;
	#kept: Desired | null = null;

	constructor(
		state: DeviceState,
		to: { fleet: string; device: string },
		trust: Trust,
	) {
		this.#state = state;
		this.#to = to;
		this.#trust = trust;
	}

	/** What may be acted on. */
	get current(): Desired | null {
		return this.#kept;
	}

	/** Reads what an earlier run kept. */
	async recall(): Promise<void> {
		this.#kept = await this.#state.desired(this.#to, this.#trust);
	}

	/**
	 * Hears a message.
	 * @returns "new"; "known": said before; or why it is refused
	 */
	hear(payload: Buffer): "new" | "known" | Reason {
		let desired: Desired;
		try {
			desired = decodeDesired(payload, this.#to, this.#trust);
		} catch (thrown) {
			const { code, message } = asWattvoxError(thrown);
			return { code, message };
		}
		const floor = Math.max(
			this.#kept?.revision ?? 0,
			this.#newest?.desired.revision ?? 0,
		);
		if (desired.revision === floor) return "known";
		if (desired.revision < floor)
			return {
				code: "E_SIGNATURE",
				message: `desired revision ${desired.revision} is below ${floor}, which was obeyed before`,
			};
		this.#newest = { desired, payload };
		return "new";
	}

	/** Brings the newest to disk; from then on it is {@link current}. @throws WattvoxError E_OUTPUT, E_DISK_FULL */
	async keep(): Promise<void> {
		const newest = this.#newest;
		if (!newest) return;
		await this.#state.setDesired(newest.payload);
		this.#kept = newest.desired;
		if (this.#newest === newest) this.#newest = undefined;
	}
}
