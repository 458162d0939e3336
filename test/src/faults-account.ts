import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { FIRST_WINDOW, type Reported } from "@wattvox/link";

/** A file of a bundle: its hash and how many blocks it has. */
export interface FileBlocks {
	sha256: string;
	blocks: number;
}

/**
 * How many blocks a store may have sent to one device, by what the protocol promises: each block that is
 * missing once; and again what was under way when a transfer was interrupted.
 *
 * It is an upper bound, and a loose one: every interruption and every pull that begins counts as if a whole
 * window had been under way. More is not to be known from outside: which blocks were under way, the device
 * alone knows, and a process that gets no turn for seconds on a busy machine finds a silence that nobody
 * made, and asks again. One window, to the block, is held to where nothing is left to the machine: by
 * link's fetch.test.ts, by every power cut of disk-faults.ts, and across a restart of each broker in
 * fleet's brokers.test.ts.
 *
 * What is removed on the device is missing again when it is wished for again. So this looks at the
 * device's disk before every wish.
 */
export class Account {
	/** Blocks that had to be sent. */
	needed = 0;
	/** Blocks that faults may have made come again. */
	excused = 0;
	/** Pulls that began: each may ask again for what the one before it had under way. */
	pulls = 0;
	/** Most blocks that any pull so far can have had under way. */
	window = 0;
	readonly #store: string;
	/** Hashes of the files wished for, and not removed since. */
	readonly #wished = new Set<string>();
	/** Hashes of the files that the device had, whole or in part. */
	#had = new Set<string>();
	#said: Pick<Reported, "state" | "revision"> | undefined;

	/** @param store the device's own store */
	constructor(store: string) {
		this.#store = store;
	}

	/** Most blocks that the store may have sent, but for those that came damaged. */
	get allowed(): number {
		return this.needed + this.excused + this.pulls * this.window;
	}

	/** Call it before the device hears of the wish. */
	async wish(files: readonly FileBlocks[]): Promise<void> {
		const now = await this.#files();
		for (const sha256 of this.#had)
			if (!now.has(sha256)) this.#wished.delete(sha256);
		this.#had = now;
		let missing = 0;
		for (const { sha256, blocks } of files) {
			if (this.#wished.has(sha256)) continue;
			this.#wished.add(sha256);
			missing += blocks;
		}
		this.needed += missing;
		const all = files.reduce((sum, file) => sum + file.blocks, 0);
		this.window = Math.max(this.window, mostUnderWay(all));
	}

	/** What was under way may come again. */
	interrupted(): void {
		this.excused += this.window;
	}

	/** A file has to come again. */
	spoilt({ blocks }: FileBlocks): void {
		this.excused += blocks;
	}

	heard(reported: Pick<Reported, "state" | "revision">): void {
		const { state, revision } = reported;
		const goesOn =
			this.#said?.state === "pulling" && this.#said.revision === revision;
		if (state === "pulling" && !goesOn) this.pulls++;
		this.#said = { state, revision };
	}

	async #files(): Promise<Set<string>> {
		const list = (name: string) =>
			readdir(join(this.#store, name)).catch(() => []);
		const names = [...(await list("blobs/sha256")), ...(await list("partial"))];
		return new Set(names.map((name) => name.replace(/\.part$/, "")));
	}
}

/** Most blocks that a pull of so many can have under way: its window doubles with each one that came. */
export function mostUnderWay(blocks: number): number {
	let most = 0;
	let window = FIRST_WINDOW;
	for (let left = blocks; left > 0; left -= window, window *= 2)
		most = Math.max(most, Math.min(left, window));
	return most;
}
