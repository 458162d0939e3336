/**
 * Sends the newest of a row of values, one at a time: while one is on its way, later ones replace
 * each other. For state and for cumulative figures, where an older value says nothing more.
 */
export class Latest<T> {
	readonly #send: (value: T) => Promise<void>;
	#next: { value: T } | undefined;
	#running: Promise<void> | undefined;

	/** @param send what it throws is dropped: the next value says more anyway */
	constructor(send: (value: T) => Promise<void>) {
		this.#send = send;
	}

	/** Offers a value; resolves when nothing is left to send. */
	offer(value: T): Promise<void> {
		this.#next = { value };
		this.#running ??= this.#run();
		return this.#running;
	}

	/** Resolves when nothing is left to send. */
	async idle(): Promise<void> {
		await this.#running;
	}

	async #run(): Promise<void> {
		for (let item = this.#next; item; item = this.#next) {
			this.#next = undefined;
			await this.#send(item.value).catch(() => undefined);
		}
		// here and not in a finally: what is offered between the last look and that would not be sent
		this.#running = undefined;
	}
}
