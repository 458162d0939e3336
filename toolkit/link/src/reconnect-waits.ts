import { backoff } from "@wattvox/core";

export interface ReconnectWaitsOptions {
	/** Ceiling of the first and of any wait, ms. */
	ms: { base: number; max: number };
	/** Uniform in [0, 1). */
	random: () => number;
	/** Told how long to wait after the connection that there is, or the attempt at one, ms. */
	onWait: (ms: number) => void;
}

/**
 * How long to wait between two connections.
 *
 * INVARIANT: waits begin anew once a connection stood for as long as may have been waited for it. So a broker
 * that lets a client in and throws it out at once, over something that it does each time, is asked ever less.
 */
export class ReconnectWaits {
	readonly #o: ReconnectWaitsOptions;
	#attempt = 1;
	#next: number;
	/** What may have been waited for the connection that there is, ms. */
	#ceiling = 0;
	#standing: NodeJS.Timeout | undefined;

	constructor(options: ReconnectWaitsOptions) {
		this.#o = options;
		this.#next = this.#wait();
	}

	/** The first one, ms. */
	get first(): number {
		return this.#next;
	}

	/** The connection is of use. */
	connected(): void {
		clearTimeout(this.#standing);
		this.#standing = setTimeout(() => {
			this.#attempt = 1;
			this.#tell();
		}, this.#ceiling).unref();
	}

	/** It ended, or none came about; what was told last is being waited. */
	ended(): void {
		clearTimeout(this.#standing);
		const { base, max } = this.#o.ms;
		this.#ceiling = Math.min(max, base * 2 ** (this.#attempt - 1));
		this.#attempt++;
		this.#tell();
	}

	#tell(): void {
		this.#next = this.#wait();
		this.#o.onWait(this.#next);
	}

	#wait(): number {
		const { ms, random } = this.#o;
		// mqtt.js takes 0 for "never"
		return 1 + backoff(this.#attempt, ms.base, ms.max, random);
	}
}
