import { readFile } from "node:fs/promises";
import { join } from "node:path";
import {
	type Clock,
	unlessShortage,
	WattvoxError,
	writeAtomic,
} from "@wattvox/core";
import type { Budget } from "@wattvox/link";
import { z } from "zod";

const zUsed = z.object({
	v: z.literal(1),
	/** UTC, "2026-01-31". */
	day: z.string().regex(/^\d{4}-\d\d-\d\d$/),
	bytes: z.int().min(0),
});

/** Less than a block and its header is not worth asking for. */
const LEAST = 65_536 + 512;
const DAY_MS = 24 * 3600_000;

/**
 * What a device may receive of bundles in a day (UTC).
 *
 * INVARIANTS
 * - What is reserved is on disk before it is asked for, so a crash can only make a device believe
 *   that it received more than it did.
 * - A clock that runs backwards does not bring a day back.
 */
export class ByteBudget implements Budget {
	readonly #path: string;
	readonly #limit: number;
	readonly #clock: Clock;
	#used: { day: string; bytes: number } | undefined;

	/** @param limit bytes per day */
	constructor(dataDir: string, limit: number, clock: Clock) {
		this.#path = join(dataDir, "budget.json");
		this.#limit = limit;
		this.#clock = clock;
	}

	/** Bytes received today. */
	async today(): Promise<number> {
		return (await this.#now()).bytes;
	}

	/**
	 * @throws WattvoxError E_BUDGET with `retryAfterMs`; E_OUTPUT, E_DISK_FULL
	 */
	async reserve(bytes: number): Promise<number> {
		const used = await this.#now();
		const left = this.#limit - used.bytes;
		if (left < LEAST) {
			const midnight = Date.parse(used.day) + DAY_MS;
			const wait = Math.max(60_000, midnight - this.#clock.wall());
			throw Object.assign(
				new WattvoxError(
					"E_BUDGET",
					`${used.bytes} of ${this.#limit} bytes of ${used.day} are spent`,
				),
				{ retryAfterMs: wait },
			);
		}
		const reserved = Math.min(left, Math.max(bytes, LEAST));
		await this.#book(used, reserved);
		return reserved;
	}

	async settle(reserved: number, received: number): Promise<void> {
		const used = await this.#now();
		await this.#book(used, Math.max(received - reserved, -used.bytes));
	}

	async #now(): Promise<{ day: string; bytes: number }> {
		this.#used ??= await this.#read();
		const day = new Date(this.#clock.wall()).toISOString().slice(0, 10);
		if (day > this.#used.day) this.#used = { day, bytes: 0 };
		return this.#used;
	}

	async #book(used: { day: string; bytes: number }, more: number) {
		const next = { day: used.day, bytes: used.bytes + more };
		await writeAtomic(this.#path, `${JSON.stringify({ v: 1, ...next })}\n`);
		this.#used = next;
	}

	async #read(): Promise<{ day: string; bytes: number }> {
		try {
			const { day, bytes } = zUsed.parse(
				JSON.parse(await readFile(this.#path, "utf8")),
			);
			return { day, bytes };
		} catch (thrown) {
			unlessShortage(thrown);
			return { day: "", bytes: 0 };
		}
	}
}
