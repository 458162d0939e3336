import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { RootTrust, type Trust } from "@wattvox/bundle";
import { type Clock, unlessShortage, writeAtomic } from "@wattvox/core";
import type { SignedDesired } from "@wattvox/link";
import { z } from "zod";

const zFloors = z.object({
	v: z.literal(1),
	/** Key id -> the highest that this key was seen to sign. */
	keys: z.record(
		z.string().regex(/^[0-9a-f]{64}$/),
		z.object({ revision: z.int().min(1), at: z.iso.datetime() }),
	),
});
type Keys = z.infer<typeof zFloors>["keys"];

/** No clock of this software's age shows less: 1 January 2026. */
export const SOFTWARE_FLOOR: number = Date.UTC(2026, 0, 1);

/**
 * Below what a device never goes back: the revision of its desired state, and time itself.
 *
 * INVARIANTS
 * - A floor is raised only by what a trusted key signed. A wrong clock raises none: one that jumps
 *   ahead holds updates up until it is right again, and no longer.
 * - A floor is on disk before what raised it is acted on.
 * - Only floors of keys that are trusted now count: a stolen key that signed the highest revision or
 *   the year 9000 takes its floors along when a new root drops it.
 */
export class Floors {
	readonly #path: string;
	readonly #trust: Trust;
	#keys: Keys = {};

	constructor(dataDir: string, trust: Trust) {
		this.#path = join(dataDir, "floors.json");
		this.#trust = trust;
	}

	/** Reads what an earlier run kept. */
	async recall(): Promise<void> {
		try {
			const read = JSON.parse(await readFile(this.#path, "utf8"));
			this.#keys = zFloors.parse(read).keys;
		} catch (thrown) {
			unlessShortage(thrown);
			// none yet, or a damaged disk: the kept desired state is a floor too
			this.#keys = {};
		}
	}

	/** Revisions that were obeyed are not above this. */
	get revision(): number {
		return Math.max(0, ...this.#counting().map(([, k]) => k.revision));
	}

	/** It is not earlier than this, milliseconds since 1970. */
	get time(): number {
		const times = this.#counting().map(([, k]) => Date.parse(k.at));
		if (this.#trust instanceof RootTrust)
			times.push(Date.parse(this.#trust.root.created));
		return Math.max(0, ...times);
	}

	/** @throws WattvoxError E_OUTPUT, E_DISK_FULL */
	async raise({ desired, signer }: SignedDesired): Promise<void> {
		const known = this.#keys[signer];
		const revision = Math.max(known?.revision ?? 0, desired.revision);
		const at =
			known && Date.parse(known.at) > Date.parse(desired.at)
				? known.at
				: desired.at;
		if (known?.revision === revision && known.at === at) return;
		// keys that are no longer trusted stay: a root never brings one back by mistake without its floor
		const keys = { ...this.#keys, [signer]: { revision, at } };
		await writeAtomic(this.#path, `${JSON.stringify({ v: 1, keys })}\n`);
		this.#keys = keys;
	}

	#counting() {
		return Object.entries(this.#keys).filter(([id]) =>
			this.#trust.find(id, "desired"),
		);
	}
}

/**
 * The machine's clock, held above a floor: a board without a battery starts in 1970, and what had
 * expired would be valid again. From the floor on time runs with the monotonic clock.
 */
export class FlooredClock implements Clock {
	readonly #base: Clock;
	#floor: () => number = () => 0;
	#mark = { floor: 0, at: 0 };

	constructor(base: Clock) {
		this.#base = base;
	}

	/** @param floor milliseconds since 1970; may change */
	hold(floor: () => number): void {
		this.#floor = floor;
	}

	wall(): number {
		const floor = this.#floor();
		const now = this.#base.monotonic();
		if (floor !== this.#mark.floor) this.#mark = { floor, at: now };
		const held = floor === 0 ? 0 : floor + Math.floor(now - this.#mark.at);
		return Math.max(this.#base.wall(), held);
	}

	monotonic(): number {
		return this.#base.monotonic();
	}

	sleep(ms: number, signal?: AbortSignal): Promise<void> {
		return this.#base.sleep(ms, signal);
	}
}
