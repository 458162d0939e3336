import { mkdir, readdir, readFile, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { isId, writeAtomic } from "@wattvox/core";
import { type PowerMessage, zPowerMessage } from "@wattvox/link";

/** Boots whose last word may wait: a device that crashes for weeks fills no disk. */
const BOOTS_KEPT = 64;

/**
 * Power messages that no broker has taken yet, on disk.
 *
 * INVARIANTS
 * - Of each boot the newest message is kept, in whatever order they are offered; as its figures are
 *   cumulative, it holds all before it, so what comes through later makes the totals exact.
 * - At most {@link BOOTS_KEPT} boots wait. Beyond that the oldest go first, and are counted.
 * - A message leaves the disk only after the broker acknowledged it.
 */
export class PowerBuffer {
	readonly #dir: string;
	#lost = 0;
	/** One after the other: a newer message is neither overwritten nor removed by an older. */
	#turn: Promise<unknown> = Promise.resolve();

	constructor(dataDir: string) {
		this.#dir = join(dataDir, "power");
	}

	/** Boots whose last word was thinned out since this agent started. */
	get lost(): number {
		return this.#lost;
	}

	/** @throws WattvoxError E_OUTPUT, E_DISK_FULL */
	keep(message: PowerMessage): Promise<void> {
		return this.#next(() => this.#keep(message));
	}

	/** The broker has this one, so it need not be kept. */
	sent({ boot, sequence }: PowerMessage): Promise<void> {
		return this.#next(async () => {
			const kept = await this.#read(boot);
			if (kept && kept.sequence <= sequence)
				await rm(this.#path(boot), { force: true });
		});
	}

	async #keep(message: PowerMessage): Promise<void> {
		const kept = await this.#read(message.boot);
		if (kept && kept.sequence >= message.sequence) return;
		await mkdir(this.#dir, { recursive: true });
		await writeAtomic(this.#path(message.boot), `${JSON.stringify(message)}\n`);
		const boots = await this.#boots();
		for (const boot of boots.slice(0, -BOOTS_KEPT)) {
			await rm(this.#path(boot), { force: true });
			this.#lost++;
		}
	}

	/** What waits, oldest first; what cannot be read is removed and counted. */
	waiting(): Promise<PowerMessage[]> {
		return this.#next(() => this.#waiting());
	}

	async #waiting(): Promise<PowerMessage[]> {
		const found: PowerMessage[] = [];
		for (const boot of await this.#boots()) {
			const message = await this.#read(boot);
			if (message) found.push(message);
			else {
				await rm(this.#path(boot), { force: true });
				this.#lost++;
			}
		}
		return found;
	}

	#next<T>(work: () => Promise<T>): Promise<T> {
		const turn = this.#turn.then(work);
		this.#turn = turn.catch(() => undefined);
		return turn;
	}

	#path(boot: string): string {
		return join(this.#dir, `${boot}.json`);
	}

	/** Oldest first, by when they were last written. */
	async #boots(): Promise<string[]> {
		const names = await readdir(this.#dir).catch(() => []);
		const boots: { boot: string; at: number }[] = [];
		for (const name of names) {
			const boot = name.replace(/\.json$/, "");
			if (boot === name || !isId(boot)) continue;
			const info = await stat(join(this.#dir, name)).catch(() => undefined);
			if (info) boots.push({ boot, at: info.mtimeMs });
		}
		return boots.sort((a, b) => a.at - b.at).map((b) => b.boot);
	}

	async #read(boot: string): Promise<PowerMessage | undefined> {
		try {
			const text = await readFile(this.#path(boot), "utf8");
			return zPowerMessage.parse(JSON.parse(text));
		} catch {
			return undefined;
		}
	}
}
