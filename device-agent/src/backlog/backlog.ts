import { join } from "node:path";
import { asWattvoxError, type WattvoxError } from "@wattvox/core";
import type { Lost } from "@wattvox/link";
import { BacklogFile, type Head, headWith, newHead } from "./backlog-file.ts";
import {
	addLost,
	type Entry,
	NOTHING_LOST,
	type Stream,
	supersedes,
	thinnable,
} from "./entries.ts";

export interface BacklogOptions {
	/** What may wait, bytes as they stand in the file. Default 1 MiB: some 3,000 entries. */
	maxBytes?: number;
	/** Told when the disk does not take what is to wait. */
	onTrouble?: (error: WattvoxError) => void;
	/** Between two flushes to disk, ms: what a power cut costs at most. Default 10 000. */
	syncMs?: number;
}

interface Waiting {
	entry: Entry;
	bytes: number;
	/** Taken to be sent: it is neither replaced nor thinned meanwhile. */
	taken: boolean;
}

/** What a line adds to an entry's JSON, bytes. */
const LINE_BYTES = 10;

/**
 * What a device has to tell and no broker has acknowledged yet: readings of power and utterances, in
 * memory and on disk.
 *
 * INVARIANTS
 * - What is added is in the file before it may be taken, and leaves both only when it was sent.
 * - An end of the process loses nothing of it; a power cut what came in the last `syncMs`.
 * - It is bounded. What goes first is detail, the oldest first ({@link thinnable}); the last reading of
 *   each boot stays, so that totals are exact. What went is counted, in the same write that drops it.
 * - A disk that takes nothing stops nobody: what is added waits in memory.
 */
export class Backlog {
	readonly #file: BacklogFile;
	readonly #max: number;
	readonly #o: BacklogOptions;
	#head: Head = newHead();
	#waiting: Waiting[] = [];
	#bytes = 0;
	#turn: Promise<void> = Promise.resolve();
	#timer: NodeJS.Timeout | undefined;

	constructor(dataDir: string, options: BacklogOptions = {}) {
		this.#file = new BacklogFile(join(dataDir, "backlog.log"));
		this.#max = options.maxBytes ?? 1 << 20;
		this.#o = options;
	}

	/** How much waits. */
	get length(): number {
		return this.#waiting.length;
	}

	/** Identifies it, for {@link lost}. */
	get log(): string {
		return this.#head.log;
	}

	/** What had to go, in all its life. */
	get lost(): Lost {
		return this.#head.lost;
	}

	/** Takes up what an earlier process left; call it once, before anything is added. */
	open(): Promise<void> {
		return this.#next(async () => {
			const { head, entries, damaged } = await this.#file.read();
			this.#head = headWith(
				head,
				addLost(head.lost, { ...NOTHING_LOST, damaged }),
			);
			for (const entry of entries) this.#push(entry);
			this.#thin();
			await this.#file.write(this.#head, this.#entries());
		});
	}

	/**
	 * Resolves when the file has it, or cannot have it.
	 * @param durable whether it also survives a power cut from then on
	 */
	add(entry: Entry, durable = false): Promise<void> {
		return this.#next(async () => {
			this.#push(entry);
			const anew = this.#thin() || this.#file.bytes === 0 || this.#bloated();
			if (anew) await this.#file.write(this.#head, this.#entries());
			else await this.#file.append([entry]);
			if (durable) await this.#file.sync();
			else this.#syncLater();
		});
	}

	/**
	 * The oldest of what waits, of one stream; they are to be given to {@link sent} or {@link back}.
	 * @param most how many of each stream at once
	 * @param but streams that are left alone
	 */
	take(
		most: Readonly<Record<Stream, number>>,
		but: ReadonlySet<Stream> = new Set(),
	): Entry[] {
		const free = this.#waiting.filter(
			(w) => !w.taken && !but.has(w.entry.stream),
		);
		const stream = free[0]?.entry.stream;
		if (stream === undefined) return [];
		const taken = free
			.filter((w) => w.entry.stream === stream)
			.slice(0, most[stream]);
		for (const w of taken) w.taken = true;
		return taken.map((w) => w.entry);
	}

	/** They were acknowledged. */
	sent(entries: readonly Entry[]): Promise<void> {
		return this.#next(async () => {
			this.#remove(new Set(entries));
			// what is there still is only sent once more, so it may wait for a better moment
			if (this.#waiting.length === 0 && this.#file.bytes > 0)
				await this.#file.clear(this.#head);
		});
	}

	/** They were not. */
	back(entries: readonly Entry[]): void {
		const given = new Set(entries);
		for (const w of this.#waiting) if (given.has(w.entry)) w.taken = false;
	}

	/** Flushes it to disk and closes it; it may be used on. Idempotent. */
	close(): Promise<void> {
		return this.#next(async () => {
			clearTimeout(this.#timer);
			this.#timer = undefined;
			await this.#file.close();
		});
	}

	#push(entry: Entry): void {
		const older = this.#waiting.findLastIndex(
			({ entry: e }) =>
				e.stream === "power" &&
				entry.stream === "power" &&
				e.body.boot === entry.body.boot,
		);
		const known = this.#waiting[older];
		const bytes = LINE_BYTES + Buffer.byteLength(JSON.stringify(entry));
		this.#bytes += bytes;
		const next = { entry, bytes, taken: false };
		if (known && !known.taken && supersedes(entry, known.entry)) {
			this.#bytes -= known.bytes;
			// in its place: what is replaced again and again would never be the oldest
			this.#waiting[older] = next;
		} else this.#waiting.push(next);
	}

	/** @returns whether anything went */
	#thin(): boolean {
		if (this.#bytes <= this.#max) return false;
		let lost = this.lost;
		// down to three quarters, so that it is not thinned again at once
		while (this.#bytes > 0.75 * this.#max) {
			const free = this.#waiting.filter((w) => !w.taken);
			const found = thinnable(free.map((w) => w.entry));
			if (found.gone.size === 0) break;
			this.#remove(found.gone);
			lost = addLost(lost, found.lost);
		}
		this.#head = headWith(this.#head, lost);
		return true;
	}

	/** What was sent or replaced is in the file still. */
	#bloated(): boolean {
		return this.#file.bytes > 2 * this.#bytes + 65_536;
	}

	#remove(entries: ReadonlySet<Entry>): void {
		this.#waiting = this.#waiting.filter((w) => {
			if (!entries.has(w.entry)) return true;
			this.#bytes -= w.bytes;
			return false;
		});
	}

	#entries(): Entry[] {
		return this.#waiting.map((w) => w.entry);
	}

	#syncLater(): void {
		this.#timer ??= setTimeout(() => {
			this.#timer = undefined;
			void this.#next(() => this.#file.sync());
		}, this.#o.syncMs ?? 10_000).unref();
	}

	/** One after the other; what the disk refuses is told and stops nobody. */
	#next(work: () => Promise<void>): Promise<void> {
		this.#turn = this.#turn.then(work).catch((thrown) => {
			this.#o.onTrouble?.(asWattvoxError(thrown));
		});
		return this.#turn;
	}
}
