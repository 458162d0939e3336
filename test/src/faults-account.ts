import { FIRST_WINDOW } from "@wattvox/link";
import type { DeviceEvent, StoreEvent } from "./faults-journal.ts";

/** As the link has it by itself. */
const MOST_WINDOW = 256;

/** Why a block was asked for more often than once. */
export type Cause =
	/** The device said why, see {@link Again} of the link. */
	| Extract<DeviceEvent, { is: "again" }>["why"]
	/** The device's process had been killed while it was under way. */
	| "killed"
	/** The pull had ended while it was under way: another wish, a full disk, a deadline. */
	| "broken off"
	/** Its file had been removed because somebody turned a bit of it, or the block itself was found spoilt. */
	| "spoilt";

/** Where every block that a device asked for, and a store sent, belongs. */
export interface Account {
	/** Blocks that the device asked for: `needed` and all of `again`. */
	asked: number;
	/** Blocks asked for once, or once more after their file was not wished for any more and removed. */
	needed: number;
	again: Partial<Record<Cause, number>>;
	/** Blocks that the store sent, damaged ones too, and their bytes. */
	sent: number;
	sentBytes: number;
	/** Of these, damaged on purpose. */
	damaged: number;
	/** What is not explained. */
	violations: string[];
}

/** One pull: requests of one id. */
interface Pull {
	/** Blocks it asked for, by key. */
	asked: Set<string>;
	/** Of these, those of files that are not known to be on the disk. */
	underWay: Set<string>;
	/** Blocks that came to the disk, and parts of manifests. */
	came: number;
	/** How many it has said that it would ask for again, and why; the oldest first. */
	said: { why: Cause; blocks: number }[];
}

/** What is known of a file on the device. */
interface Known {
	/** Blocks that are on the disk. */
	kept: Set<number>;
	/** Blocks of which a bit was turned: they may be there or not. */
	rotten: Set<number>;
	/** Pulls that asked for a block, the last one of each. */
	last: Map<number, { pull: string; run: number }>;
	/** Asked for once and then lost with the file, for a reason that is known. */
	spoilt: Set<number>;
}

/**
 * Holds what one device asked for, and what its store sent, to what the protocol promises:
 *
 * 1. A block that is on the device's disk is not asked for.
 * 2. Within one pull a block is asked for again only after the device said that it would be, and why.
 * 3. A pull never has more blocks under way than its window, which begins at {@link FIRST_WINDOW} and doubles
 *    when as many came. So an interruption makes no more than that come again.
 * 4. What the device removes is not wished for, or somebody had turned a bit of it.
 * 5. The store sends a block no more often than it was asked for it, and the device calls no more blocks
 *    damaged than were.
 *
 * All of it is exact: nothing depends on the time at which something was seen.
 * @param bundles files of each bundle, by its digest
 */
export function account(
	device: readonly DeviceEvent[],
	store: readonly StoreEvent[],
	bundles: ReadonlyMap<string, ReadonlySet<string>>,
): Account {
	const books = new Books(bundles);
	for (const event of device) books.enter(event);
	return books.close(store);
}

class Books {
	readonly #bundles: ReadonlyMap<string, ReadonlySet<string>>;
	readonly #pulls = new Map<string, Pull>();
	readonly #files = new Map<string, Known>();
	/** How often each block was asked for. */
	readonly #asks = new Map<string, number>();
	readonly #result: Account = {
		...{ asked: 0, needed: 0, again: {}, sent: 0, sentBytes: 0, damaged: 0 },
		violations: [],
	};
	#run = 0;
	#wish: string | null = null;

	constructor(bundles: ReadonlyMap<string, ReadonlySet<string>>) {
		this.#bundles = bundles;
	}

	enter(event: DeviceEvent): void {
		switch (event.is) {
			case "start":
				this.#run++;
				return;
			case "wish":
				this.#wish = event.bundle;
				return;
			case "ask":
				for (const block of event.blocks) this.#ask(event, block);
				return;
			case "again":
				this.#pull(event.pull).said.push({ ...event });
				return;
			case "kept":
				for (const block of event.blocks) this.#keep(event.file, block);
				return;
			case "gone":
				this.#gone(event.file);
				return;
			case "rot":
				this.#file(event.file).rotten.add(event.block);
				return;
		}
	}

	close(store: readonly StoreEvent[]): Account {
		const r = this.#result;
		const left = new Map(this.#asks);
		for (const { kind, file, block, bytes, damaged, refused } of store) {
			const key = `${kind} ${file} ${block}`;
			const more = (left.get(key) ?? 0) - 1;
			left.set(key, more);
			if (more < 0) this.#wrong(key, "is sent and was not asked for");
			if (refused) continue;
			r.sent++;
			r.sentBytes += bytes;
			if (damaged) r.damaged++;
		}
		if ((r.again.damaged ?? 0) > r.damaged)
			r.violations.push(
				`the device calls ${r.again.damaged} blocks damaged, and ${r.damaged} were`,
			);
		return r;
	}

	#ask(
		{ pull: id, kind, file }: Extract<DeviceEvent, { is: "ask" }>,
		block: number,
	): void {
		const key = `${kind} ${file} ${block}`;
		const pull = this.#pull(id);
		const known = this.#file(file);
		const before = known.last.get(block);
		this.#result.asked++;
		this.#asks.set(key, (this.#asks.get(key) ?? 0) + 1);
		if (known.kept.has(block) && !known.rotten.has(block))
			this.#wrong(key, "is on the disk and is asked for");
		if (pull.asked.has(key)) {
			const said = pull.said.find(({ blocks }) => blocks > 0);
			if (said) said.blocks--;
			else this.#wrong(key, "is asked for again, and nobody said why");
			this.#count(said?.why ?? "broken off");
		} else if (known.spoilt.delete(block)) this.#count("spoilt");
		else if (!before) this.#result.needed++;
		else if (known.rotten.has(block)) this.#count("spoilt");
		else this.#count(before.run < this.#run ? "killed" : "broken off");
		known.last.set(block, { pull: id, run: this.#run });
		pull.asked.add(key);
		// heads and manifests are kept as a whole
		if (kind !== "blob") pull.came++;
		else pull.underWay.add(key);
		const window = windowAfter(pull.came);
		if (pull.underWay.size > window)
			this.#wrong(key, `is under way beside a window of ${window}`);
	}

	#keep(file: string, block: number): void {
		const known = this.#file(file);
		known.kept.add(block);
		const asked = known.last.get(block)?.pull;
		const pull = asked === undefined ? undefined : this.#pulls.get(asked);
		if (pull?.underWay.delete(`blob ${file} ${block}`)) pull.came++;
	}

	#gone(file: string): void {
		const known = this.#files.get(file);
		if (!known) return;
		this.#files.delete(file);
		const spoilt = known.rotten.size > 0;
		const wished =
			this.#wish !== null && this.#bundles.get(this.#wish)?.has(file);
		if (wished && !spoilt && known.kept.size > 0)
			this.#wrong(`blob ${file}`, "is removed and is wished for");
		if (spoilt)
			for (const block of known.last.keys()) this.#file(file).spoilt.add(block);
	}

	#count(cause: Cause): void {
		const { again } = this.#result;
		again[cause] = (again[cause] ?? 0) + 1;
	}

	#wrong(key: string, what: string): void {
		const [kind, file = "", block = ""] = key.split(" ");
		this.#result.violations.push(
			`block ${block} of ${kind} ${file.slice(0, 8)} ${what}`,
		);
	}

	#pull(id: string): Pull {
		const known = this.#pulls.get(id);
		if (known) return known;
		const asked = new Set<string>();
		const pull = { asked, underWay: new Set<string>(), came: 0, said: [] };
		this.#pulls.set(id, pull);
		return pull;
	}

	#file(file: string): Known {
		const known = this.#files.get(file);
		if (known) return known;
		const fresh: Known = {
			...{ kept: new Set(), rotten: new Set() },
			...{ last: new Map(), spoilt: new Set() },
		};
		this.#files.set(file, fresh);
		return fresh;
	}
}

/** Most blocks that a pull can have under way when so many came: its window doubles with as many as it has. */
export function windowAfter(came: number): number {
	let window = FIRST_WINDOW;
	for (let left = came; left >= window && window < MOST_WINDOW; ) {
		left -= window;
		window *= 2;
	}
	return window;
}
