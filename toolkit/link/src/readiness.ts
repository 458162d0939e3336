import { abandonable, type WattvoxError } from "@wattvox/core";

/** Whether a link is ready, and who wants to know. */
export class Readiness {
	readonly #readyListeners = new Set<() => void>();
	readonly #lostListeners = new Set<() => void>();
	readonly #failOnLost = new Set<(error: WattvoxError) => void>();
	readonly #failOnEnd = new Set<(error: WattvoxError) => void>();
	#ready = false;
	#ended: WattvoxError | undefined;

	get ready(): boolean {
		return this.#ready;
	}

	/** Resolves as soon as it is ready. @throws what `end` was given; the signal's reason */
	async when(signal?: AbortSignal): Promise<void> {
		if (this.#ready) return;
		if (this.#ended) throw this.#ended;
		let off: () => void = () => undefined;
		let fail: (error: WattvoxError) => void = () => undefined;
		const ready = new Promise<void>((resolve, reject) => {
			off = this.onReady(resolve);
			fail = reject;
			this.#failOnEnd.add(fail);
		});
		try {
			await abandonable(ready, signal);
		} finally {
			off();
			this.#failOnEnd.delete(fail);
		}
	}

	/** @returns takes it back */
	onReady(listener: () => void): () => void {
		this.#readyListeners.add(listener);
		return () => this.#readyListeners.delete(listener);
	}

	/** @returns takes it back */
	onLost(listener: () => void): () => void {
		this.#lostListeners.add(listener);
		return () => this.#lostListeners.delete(listener);
	}

	/** Does something that only this connection can do. @throws what `lost` was given; what `work` throws */
	async onThisConnection(
		work: (resolve: () => void, reject: (error: WattvoxError) => void) => void,
	): Promise<void> {
		let fail: (error: WattvoxError) => void = () => undefined;
		try {
			await new Promise<void>((resolve, reject) => {
				fail = reject;
				this.#failOnLost.add(fail);
				work(resolve, reject);
			});
		} finally {
			this.#failOnLost.delete(fail);
		}
	}

	becomeReady(): void {
		this.#ready = true;
		for (const listener of [...this.#readyListeners]) listener();
	}

	/** @returns whether it was ready */
	lost(why: WattvoxError): boolean {
		const was = this.#ready;
		this.#ready = false;
		for (const fail of [...this.#failOnLost]) fail(why);
		if (was) for (const listener of [...this.#lostListeners]) listener();
		return was;
	}

	/** It will not be ready any more. */
	end(why: WattvoxError): void {
		this.#ended = why;
		for (const fail of [...this.#failOnEnd]) fail(why);
	}
}
