import { randomBytes } from "node:crypto";
import { backoff, type Clock, systemClock, WattvoxError } from "@wattvox/core";
import type {
	Again,
	FetchCounters,
	FetchOptions,
	Want,
} from "./fetch-types.ts";
import {
	type BlockHeader,
	decodeBlock,
	encode,
	type Pull,
} from "./messages.ts";
import { type Lane, PULL_LANE, topic } from "./topics.ts";

export type * from "./fetch-types.ts";

interface Asked {
	want: Want;
	/** Place in the order of asking. */
	order: number;
}

const MAX_STALL_MS = 60_000;

/** Blocks that a fetch begins with: 2 MiB, what any link may lose. */
export const FIRST_WINDOW = 32;
/** A window doubles when it came within this, ms: what a break costs stays half a second of the link. */
const QUICK_MS = 500;
/** And halves when it took longer than this, ms. */
const SLOW_MS = 2000;

/**
 * Fetches blocks with a credit window of its own over QoS 0.
 *
 * INVARIANTS
 * - Never more than a window of blocks is asked for and not yet kept; so an interruption can make the
 *   store send at most one window twice. It begins small, follows the speed of the link, and is never
 *   more than `window`.
 * - A block is asked for again only when its answer cannot still be under way on this connection:
 *   the connection went, the store fell silent, or two windows of later answers came past it.
 * - Silence is measured from the last answer, not from the request: a slow link is not a lost one.
 */
export class BlockFetcher {
	readonly counters: FetchCounters = {
		requests: 0,
		asked: 0,
		blocks: 0,
		bytes: 0,
		received: 0,
		stray: 0,
		tampered: 0,
		stalls: 0,
		lost: 0,
	};
	readonly #o: FetchOptions;
	readonly #lane: Lane;
	readonly #clock: Clock;
	readonly #random: () => number;
	readonly #most: number;
	#window: number;
	/** Blocks taken since the window was last looked at, and when that was. */
	#lap = { taken: 0, since: 0 };
	readonly #id = randomBytes(8).toString("hex");
	/** The broker passes answers on. */
	#listening = false;
	readonly #asked = new Map<string, Asked>();
	readonly #damage = new Map<string, number>();
	#queue: Want[] = [];
	#again: Want[] = [];
	readonly #taking = new Set<Promise<void>>();
	/** Blocks that were taken and are not being kept yet. */
	#held = 0;
	/** Blocks that are being kept. */
	#keeping = 0;
	readonly #keeps = new Set<Promise<void>>();
	#keep: () => Promise<void> = async () => undefined;
	#credit: number;
	#order = 0;
	#heard = 0;
	#silences = 0;
	/** Connections in a row that ended over requests without any answer. */
	#cuts = 0;
	#stallWait: number;
	#pauseUntil = 0;
	#offlineSince: number | undefined;
	#settle: { resolve: () => void; reject: (e: unknown) => void } | undefined;

	constructor(options: FetchOptions) {
		this.#o = options;
		this.#lane = options.lane ?? PULL_LANE;
		this.#clock = options.clock ?? systemClock;
		this.#random = options.random ?? Math.random;
		this.#most = options.window ?? 256;
		this.#window = Math.min(this.#most, FIRST_WINDOW);
		this.#credit = this.#window;
		this.#stallWait = this.#stall();
	}

	/**
	 * Fetches all of `wants`, one call at a time.
	 * @param keep brings to disk what was taken; called for a quarter of a window at a time, when nothing
	 * is under way any more, and a few times a second. Default: taken is kept
	 * @throws WattvoxError E_PULL (the store does not hold it), E_TIMEOUT (it does not answer),
	 * E_BROKER (no broker for too long), E_DENIED (the broker keeps answers or requests from here), E_TAMPERED;
	 * what `take` and `keep` throw; the signal's reason
	 */
	async fetch(
		wants: readonly Want[],
		signal?: AbortSignal,
		keep?: () => Promise<void>,
	): Promise<void> {
		if (this.#settle) throw new WattvoxError("E_BUG", "one fetch at a time");
		if (wants.length === 0) return;
		signal?.throwIfAborted();
		const over = new AbortController();
		const done = new Promise<void>((resolve, reject) => {
			this.#settle = { resolve, reject };
		});
		done.catch((thrown) => over.abort(thrown));
		const abort = () => this.#fail(signal?.reason);
		signal?.addEventListener("abort", abort, { once: true });
		const { link, fleet, device } = this.#o;
		const offs: (() => unknown)[] = [
			link.onLost(() => this.#lost()),
			link.onReady(() => this.#back()),
		];
		this.#keep = keep ?? (async () => undefined);
		this.#queue = [...wants].reverse();
		this.#heard = this.#clock.monotonic();
		this.#lap = { taken: 0, since: this.#heard };
		this.#offlineSince = link.ready ? undefined : this.#heard;
		this.#watch(over.signal).catch((thrown) => this.#fail(thrown));
		try {
			offs.push(
				await link.subscribe(
					topic(fleet, device, this.#lane.answer),
					(_, payload) => this.#block(payload),
					over.signal,
					(why) => why && this.#fail(why),
				),
			);
			this.#listening = true;
			this.#heard = this.#clock.monotonic();
			this.#ask();
			await done;
		} finally {
			this.#settle = undefined;
			this.#listening = false;
			over.abort();
			signal?.removeEventListener("abort", abort);
			for (const off of offs) await off();
			await Promise.all(this.#taking);
			await Promise.all(this.#keeps);
			this.#held = 0;
			this.#asked.clear();
			this.#queue = [];
			this.#again = [];
		}
	}

	#fail(thrown: unknown): void {
		this.#settle?.reject(thrown);
		// nothing more is asked for from here on
		this.#settle = undefined;
	}

	/** Spends what credit there is. Waits for a quarter of a window of it, so that requests stay few. */
	#ask(): void {
		if (!this.#settle || !this.#listening || !this.#o.link.ready) return;
		if (this.#clock.monotonic() < this.#pauseUntil) return;
		const waiting = this.#waiting;
		const credit = this.#o.busy?.() ? 1 : this.#credit;
		const room = credit - this.#unkept;
		if (waiting === 0 || room < Math.min(waiting, quarter(credit))) return;
		const groups = new Map<string, Want[]>();
		for (let n = 0; n < room; n++) {
			const want = this.#again.pop() ?? this.#queue.pop();
			if (!want) break;
			this.#asked.set(keyOf(want), { want, order: this.#order++ });
			const group = `${want.kind} ${want.digest}`;
			groups.set(group, [...(groups.get(group) ?? []), want]);
		}
		for (const wants of groups.values()) this.#request(wants);
	}

	#request(wants: Want[]): void {
		const [first] = wants;
		if (!first) return;
		const message: Pull = {
			v: 1,
			store: this.#o.store,
			id: this.#id,
			kind: first.kind,
			digest: first.digest,
			blocks: wants.map((w) => w.index),
		};
		this.counters.requests++;
		this.counters.asked += wants.length;
		const { link, fleet, device } = this.#o;
		// a request that did not go out is like one that got lost: silence brings it back
		link
			.publish(topic(fleet, device, this.#lane.ask), encode(message))
			.catch(() => undefined);
	}

	#block(payload: Buffer): void {
		this.counters.received += payload.byteLength;
		const message = decodeBlock(payload);
		if (!message || !this.#settle) return;
		const { header, bytes } = message;
		const key = keyOf(header);
		const asked = this.#asked.get(key);
		// a good block is good whoever asked for it; a refusal may be to a question of long ago
		if (!asked || (header.error && header.id !== this.#id)) {
			this.counters.stray++;
			return;
		}
		this.#asked.delete(key);
		this.#cuts = 0;
		this.#heard = this.#clock.monotonic();
		if (header.error) {
			this.#refused(asked.want, header.error);
			return;
		}
		const taking = this.#take(asked.want, bytes, header)
			.catch((thrown) => this.#fail(thrown))
			.finally(() => {
				this.#taking.delete(taking);
				this.#overtaken(asked.order);
				this.#ask();
				const last = this.#asked.size + this.#taking.size === 0;
				if (last || this.#held >= quarter(this.#window)) this.#keepHeld();
			});
		this.#taking.add(taking);
	}

	#keepHeld(): void {
		const held = this.#held;
		if (held === 0) return;
		this.#held = 0;
		this.#keeping += held;
		const keeping = this.#keep()
			.then(() => {
				for (let n = 0; n < held; n++) this.#earn();
			})
			.catch((thrown) => this.#fail(thrown))
			.finally(() => {
				this.#keeps.delete(keeping);
				this.#keeping -= held;
				this.#ask();
				if (this.#unkept === 0 && this.#waiting === 0) this.#settle?.resolve();
			});
		this.#keeps.add(keeping);
	}

	/** Blocks to be asked for. */
	get #waiting(): number {
		return this.#queue.length + this.#again.length;
	}

	/** Blocks asked for and not kept. */
	get #unkept(): number {
		return this.#asked.size + this.#taking.size + this.#held + this.#keeping;
	}

	/** One more block is here. */
	#earn(): void {
		const full = this.#credit === this.#window;
		this.#resize();
		this.#credit = full
			? this.#window
			: Math.min(this.#window, this.#credit + 1);
	}

	async #take(want: Want, bytes: Uint8Array, header: BlockHeader) {
		if (await want.take(bytes, header)) {
			this.counters.blocks++;
			this.counters.bytes += bytes.byteLength;
			this.#silences = 0;
			this.#stallWait = this.#stall();
			this.#held++;
			return;
		}
		this.counters.tampered++;
		const key = keyOf(want);
		const times = (this.#damage.get(key) ?? 0) + 1;
		this.#damage.set(key, times);
		if (times >= (this.#o.tamperLimit ?? 3))
			throw new WattvoxError(
				"E_TAMPERED",
				`block ${want.index} of ${want.kind} ${want.digest.slice(0, 16)} came ${times} times and was never what was signed`,
			);
		this.#askAgain("damaged", [want]);
	}

	/** Looks at the window once a window. */
	#resize(): void {
		this.#lap.taken++;
		if (this.#lap.taken < this.#window) return;
		const now = this.#clock.monotonic();
		const took = now - this.#lap.since;
		if (took < QUICK_MS) this.#window = Math.min(this.#most, 2 * this.#window);
		else if (took > SLOW_MS && this.#window > FIRST_WINDOW)
			this.#window = Math.max(FIRST_WINDOW, this.#window >> 1);
		this.#lap = { taken: 0, since: now };
	}

	#refused(want: Want, error: NonNullable<BlockHeader["error"]>): void {
		if (error === "unknown") {
			const what = `${want.kind} ${want.digest.slice(0, 16)} (block ${want.index})`;
			this.#fail(
				new WattvoxError(
					"E_PULL",
					`store ${this.#o.store} does not hold ${what}`,
				),
			);
			return;
		}
		this.#askAgain("refused", [want]);
		// the rest of the same request is refused too: one refusal is one step back
		if (this.#clock.monotonic() < this.#pauseUntil) return;
		this.#stepBack(
			`store ${this.#o.store} cannot answer now (${error})`,
			"E_PULL",
		);
		const wait = backoff(this.#silences + 1, 200, 10_000, this.#random);
		this.#pauseUntil = this.#clock.monotonic() + wait;
	}

	/** Blocks that two windows of later answers came past are lost: QoS 0 keeps order within a connection. */
	#overtaken(order: number): void {
		for (const [key, asked] of this.#asked) {
			if (asked.order >= order - 2 * this.#most) break;
			this.#asked.delete(key);
			this.#askAgain("overtaken", [asked.want]);
		}
	}

	#lost(): void {
		this.counters.lost++;
		// a broker that lets nobody ask ends the connection, each time
		if (this.#asked.size > 0 && ++this.#cuts >= (this.#o.stallLimit ?? 6)) {
			const { fleet, device } = this.#o;
			const on = topic(fleet, device, this.#lane.ask);
			this.#fail(
				new WattvoxError(
					"E_DENIED",
					`${this.#cuts} connections ended over requests on ${on}, and no answer ever came: the broker does not let this client ask there, or the link carries nothing`,
				),
			);
		}
		this.#offlineSince = this.#clock.monotonic();
		this.#takeBack("lost");
	}

	#back(): void {
		this.#offlineSince = undefined;
		this.#heard = this.#clock.monotonic();
		this.#ask();
	}

	#takeBack(why: Again["why"]): void {
		const wants = [...this.#asked.values()].map(({ want }) => want);
		this.#asked.clear();
		this.#askAgain(why, wants.reverse());
	}

	/** Puts them before all that was never asked for. */
	#askAgain(why: Again["why"], wants: readonly Want[]): void {
		if (wants.length === 0) return;
		this.#again.push(...wants);
		this.#o.onAgain?.({ pull: this.#id, why, blocks: wants.length });
	}

	/** After a sign of trouble: one block at a time, growing again with every block that comes. */
	#stepBack(what: string, code: "E_TIMEOUT" | "E_PULL"): void {
		this.#credit = 1;
		this.#window = Math.min(this.#most, FIRST_WINDOW);
		this.#silences++;
		if (this.#silences >= (this.#o.stallLimit ?? 6))
			this.#fail(new WattvoxError(code, what));
	}

	#stall(): number {
		const base = this.#o.stallMs ?? 5000;
		const doubled = base * 2 ** this.#silences;
		return Math.min(MAX_STALL_MS, doubled) * (1 + 0.2 * this.#random());
	}

	/** Looks for silence, at a fraction of the time that makes a silence. */
	async #watch(over: AbortSignal): Promise<void> {
		const tick = Math.min(250, (this.#o.stallMs ?? 5000) / 4);
		while (!over.aborted) {
			const slept = this.#clock.monotonic();
			await this.#clock.sleep(tick, over).catch(() => undefined);
			if (over.aborted) return;
			this.#keepHeld();
			const now = this.#clock.monotonic();
			// a process that got no turn did not listen: what came meanwhile is still to be read
			this.#heard += Math.max(0, now - slept - 2 * tick);
			if (this.#offlineSince !== undefined) {
				const limit = this.#o.offlineMs ?? 60_000;
				if (now - this.#offlineSince > limit)
					throw new WattvoxError(
						"E_BROKER",
						`no broker for ${Math.round(limit / 1000)} s`,
					);
				continue;
			}
			if (this.#asked.size > 0 && now - this.#heard > this.#stallWait) {
				this.counters.stalls++;
				this.#heard = now;
				this.#takeBack("silence");
				this.#stepBack(`store ${this.#o.store} does not answer`, "E_TIMEOUT");
				this.#stallWait = this.#stall();
			}
			this.#ask();
		}
	}
}

/** Of a window, blocks: what is asked for, and what is kept, at a time. */
function quarter(window: number): number {
	return Math.ceil(window / 4);
}

function keyOf(of: Pick<Want, "kind" | "digest" | "index">): string {
	return `${of.kind} ${of.digest} ${of.index}`;
}
