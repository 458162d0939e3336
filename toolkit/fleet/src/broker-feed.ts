import { matches } from "@wattvox/link";
import type { PowerFeed } from "./collector.ts";

type Handler = Parameters<PowerFeed["subscribe"]>[1];

/**
 * What is published at the embedded broker, for a listener in the same process. Unlike a client's
 * subscription it holds the sender's acknowledgement back until the listener is done with a message,
 * since the broker keeps none itself.
 */
export class BrokerFeed implements PowerFeed {
	/** A sender whose message was not taken has it still. */
	readonly persistent = true;
	readonly #handlers = new Set<readonly [filter: string, handler: Handler]>();

	/** @param handler a promise that it gave holds the sender's acknowledgement back */
	async subscribe(
		filter: string,
		handler: Handler,
	): Promise<() => Promise<void>> {
		const entry = [filter, handler] as const;
		this.#handlers.add(entry);
		return async () => {
			this.#handlers.delete(entry);
		};
	}

	/**
	 * Shows a message to who listens.
	 * @returns kept when all are done with it, broken when one of them failed; undefined: no need to wait
	 */
	offer(topic: string, payload: Buffer): Promise<unknown> | undefined {
		let held: Promise<unknown> | undefined;
		for (const [filter, handler] of this.#handlers) {
			if (!matches(filter, topic)) continue;
			const done = handler(topic, payload);
			// most have one listener: its promise is waited for as it is
			if (done instanceof Promise)
				held = held ? Promise.all([held, done]) : done;
		}
		return held;
	}
}
