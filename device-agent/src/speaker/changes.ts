/** Lets any number wait until something holds that may come to hold with every change. */
export class Changes {
	readonly #waiting = new Set<() => void>();

	/** Something has changed. */
	happened(): void {
		for (const look of [...this.#waiting]) look();
	}

	/** @throws the signal's reason, unless it holds already */
	async until(met: () => boolean, signal: AbortSignal): Promise<void> {
		while (!met()) {
			signal.throwIfAborted();
			await new Promise<void>((resolve, reject) => {
				const over = () => {
					this.#waiting.delete(look);
					signal.removeEventListener("abort", abort);
				};
				const look = () => {
					over();
					resolve();
				};
				const abort = () => {
					over();
					reject(signal.reason);
				};
				this.#waiting.add(look);
				signal.addEventListener("abort", abort, { once: true });
			});
		}
	}
}
