import type { Clock } from "@wattvox/core";
import type { IClientOptions } from "mqtt";
import { encode, type Presence } from "./messages.ts";
import type { Outgoing } from "./publications.ts";
import { topic } from "./topics.ts";

/** What a connection says of the device behind it: that it is here, that it goes, and its will. */
export class PresenceTeller {
	readonly #of: { fleet: string; device: string } | undefined;
	readonly #clock: Clock;
	#session = 0;

	/** @param of whom it speaks of; undefined: of nobody, and it says nothing */
	constructor(of: { fleet: string; device: string } | undefined, clock: Clock) {
		this.#of = of;
		this.#clock = clock;
	}

	/** Of the connection that there is, or the next: rises with each, also where the clock goes back. */
	get session(): number {
		return this.#session;
	}

	/** @returns the will of the next connection; its session tells a late will from a new birth */
	nextWill(): Pick<IClientOptions, "will"> {
		this.#session = Math.max(this.#session + 1, this.#clock.wall());
		const will = this.message(false);
		return will ? { will: { ...will, qos: 1 } } : {};
	}

	/** What is said at the beginning of a connection, and at its end. */
	message(online: boolean): Outgoing | undefined {
		if (!this.#of) return undefined;
		const { fleet, device } = this.#of;
		const message: Presence = { v: 1, online, session: this.#session };
		return {
			topic: topic(fleet, device, "presence"),
			payload: encode(message),
			retain: true,
		};
	}
}
