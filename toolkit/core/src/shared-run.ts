/**
 * Work that many ask for at a time, such as a flush: who asks while one run is under way shares the run
 * after it, because the one under way may have begun too early for them.
 */
export class SharedRun {
	readonly #work: () => Promise<void>;
	#running: Promise<void> | undefined;
	#next: Promise<void> | undefined;

	constructor(work: () => Promise<void>) {
		this.#work = work;
	}

	/**
	 * A run that begins after this call.
	 * @throws what the work throws; runs after it begin all the same
	 */
	run(): Promise<void> {
		this.#next ??= this.#begin();
		return this.#next;
	}

	async #begin(): Promise<void> {
		await this.#running?.catch(() => undefined);
		this.#running = this.#next;
		this.#next = undefined;
		await this.#work();
	}
}
