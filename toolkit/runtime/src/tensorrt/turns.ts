import { WattvoxError } from "@wattvox/core";

/**
 * Work that takes turns. Whoever is aborted or dropped leaves at once; work that has begun goes on
 * unseen, and the next turn waits for its end.
 */
export class Turns {
	#tail: Promise<void> = Promise.resolve();
	readonly #waiting = new Set<(error: WattvoxError) => void>();

	/** @throws WattvoxError E_INTERRUPTED when aborted or dropped, else what the work throws */
	take<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
		if (signal?.aborted) return Promise.reject(abandoned());
		return new Promise<T>((resolve, reject) => {
			let left = false;
			const end = () => {
				left = true;
				signal?.removeEventListener("abort", onAbort);
				this.#waiting.delete(leave);
			};
			const leave = (error: WattvoxError) => {
				end();
				reject(error);
			};
			const onAbort = () => leave(abandoned());
			signal?.addEventListener("abort", onAbort, { once: true });
			this.#waiting.add(leave);
			this.#tail = this.#tail.then(async () => {
				if (left) return;
				try {
					const value = await work();
					if (!left) resolve(value);
				} catch (thrown) {
					if (!left) reject(thrown);
				} finally {
					end();
				}
			});
		});
	}

	/** Rejects all that waits or runs, and comes back when what has begun is over. */
	async drop(why: string): Promise<void> {
		for (const leave of this.#waiting)
			leave(new WattvoxError("E_INTERRUPTED", why));
		await this.#tail;
	}
}

function abandoned(): WattvoxError {
	return new WattvoxError("E_INTERRUPTED", "the run was abandoned");
}
