import {
	abandonable,
	asWattvoxError,
	backoff,
	type Clock,
	systemClock,
	type WattvoxError,
} from "@wattvox/core";
import { decode, filter, parseTopic, zPowerMessage } from "@wattvox/link";
import { type PowerPoint, toPoint } from "./power/point.ts";
import type { PowerStore } from "./power/store.ts";

/** Where reports come from: a `Link` is one. */
export interface PowerFeed {
	/**
	 * @param handler while a promise that it gave is not settled, no more is read from the broker
	 * @returns takes the handler back
	 */
	subscribe(
		filter: string,
		handler: (topic: string, payload: Buffer) => unknown,
		signal?: AbortSignal,
	): Promise<() => Promise<void>>;
}

export interface CollectorOptions {
	/** Started by its owner; the collector does not stop it. */
	link: PowerFeed;
	/** Started and stopped by its owner. */
	store: Pick<PowerStore, "write">;
	/** Only this fleet. Default: every one. */
	fleet?: string;
	/** Longest time between a report and the store, milliseconds. Default 1000. */
	flushMs?: number;
	/** Reports that may wait for the store; then the broker waits. Default 20 000. */
	pendingLimit?: number;
	/** How long `stop` tries to write what waits, milliseconds. Default 10 000. */
	stopMs?: number;
	/** Told of every report as it comes. */
	onPoint?: (point: PowerPoint, received: number) => void;
	/** Told when the store refused a batch; it is written again. */
	onError?: (error: WattvoxError) => void;
	clock?: Clock;
}

/**
 * Brings power reports to the store, whichever broker carries them.
 *
 * INVARIANTS
 * - A report is written at least once, or a later one of the same boot is, which carries the same
 *   counts and more: totals are exact either way, as the store merges by the larger count.
 * - What waits is bounded. Of one boot, voice and minute only the newest waits; at the limit nothing
 *   more is read from the broker until a batch is written.
 * - A batch that the store refuses is written again, with what has come since.
 */
export class Collector {
	readonly counters = { received: 0, ignored: 0, written: 0, batches: 0 };
	readonly #o: CollectorOptions;
	readonly #clock: Clock;
	#pending = new Map<string, PowerPoint>();
	#unsubscribe: (() => Promise<void>) | undefined;
	#timer: NodeJS.Timeout | undefined;
	#flushing: Promise<void> | undefined;
	#room: { promise: Promise<void>; open: () => void } | undefined;
	#stop = new AbortController();

	constructor(options: CollectorOptions) {
		this.#o = options;
		this.#clock = options.clock ?? systemClock;
	}

	/** Reports that wait for the store. */
	get pending(): number {
		return this.#pending.size;
	}

	/** Listens. @throws WattvoxError E_BROKER; the signal's reason */
	async start(signal?: AbortSignal): Promise<void> {
		if (this.#unsubscribe) return;
		this.#stop = new AbortController();
		this.#unsubscribe = await this.#o.link.subscribe(
			filter("power", this.#o.fleet),
			(topic, payload) => this.#receive(topic, payload),
			signal,
		);
	}

	/**
	 * Stops listening and writes what waits. Idempotent.
	 * @throws WattvoxError E_STORE when the store did not take it in the time given
	 */
	async stop(): Promise<void> {
		const unsubscribe = this.#unsubscribe;
		this.#unsubscribe = undefined;
		await unsubscribe?.();
		clearTimeout(this.#timer);
		this.#timer = undefined;
		const over = setTimeout(() => this.#stop.abort(), this.#o.stopMs ?? 10_000);
		try {
			await this.flush();
		} finally {
			clearTimeout(over);
			this.#stop.abort();
			this.#room?.open();
		}
	}

	/**
	 * Resolves when what waits now is written.
	 * @throws WattvoxError E_STORE once the collector is stopped
	 */
	async flush(): Promise<void> {
		await this.#flushing?.catch(() => undefined);
		// another caller may have taken what waited: then its batch is waited for
		if (this.#pending.size > 0 || this.#flushing) await this.#flush();
	}

	#receive(topic: string, payload: Buffer): void | Promise<void> {
		const message = decode(zPowerMessage, payload);
		const to = parseTopic(topic);
		const received = this.#clock.wall();
		// A broker's access list lets a device write under its own name only: who it is says the topic.
		const point =
			message && to?.device === message.device
				? toPoint(message, to.fleet, received)
				: undefined;
		if (!point) {
			this.counters.ignored++;
			return;
		}
		this.counters.received++;
		this.#o.onPoint?.(point, received);
		merge(this.#pending, point);
		this.#timer ??= setTimeout(() => {
			this.#timer = undefined;
			this.flush().catch(() => undefined);
		}, this.#o.flushMs ?? 1000).unref();
		if (this.#pending.size < (this.#o.pendingLimit ?? 20_000)) return;
		this.flush().catch(() => undefined);
		this.#room ??= gate();
		return this.#room.promise;
	}

	#flush(): Promise<void> {
		this.#flushing ??= this.#write().finally(() => {
			this.#flushing = undefined;
		});
		return this.#flushing;
	}

	async #write(): Promise<void> {
		const { signal } = this.#stop;
		for (let attempt = 1; ; attempt++) {
			const batch = this.#pending;
			this.#pending = new Map();
			try {
				await abandonable(this.#o.store.write([...batch.values()]), signal);
				this.counters.written += batch.size;
				this.counters.batches++;
				this.#room?.open();
				this.#room = undefined;
				return;
			} catch (thrown) {
				for (const point of batch.values()) merge(this.#pending, point);
				if (signal.aborted) throw asWattvoxError(thrown);
				this.#o.onError?.(asWattvoxError(thrown));
				const wait = backoff(attempt, 200, 10_000, Math.random);
				await this.#clock.sleep(wait, signal).catch(() => undefined);
			}
		}
	}
}

/** Keeps the newer of two reports that the store would merge; unknown never hides a count. */
function merge(into: Map<string, PowerPoint>, point: PowerPoint): void {
	const { fleet, device, boot, sensor, measured, voice, at } = point;
	const minute = Math.floor(at / 60_000);
	const key = `${fleet}/${device}/${boot}/${sensor}/${measured}/${voice}/${minute}`;
	const known = into.get(key);
	into.set(key, known ? larger(known, point) : point);
}

function larger(a: PowerPoint, b: PowerPoint): PowerPoint {
	const newer = b.sequence >= a.sequence ? b : a;
	const most = (x: number | null, y: number | null) =>
		x === null ? y : y === null ? x : Math.max(x, y);
	return {
		...newer,
		millijoules: most(a.millijoules, b.millijoules),
		speechMillijoules: most(a.speechMillijoules, b.speechMillijoules),
		utterances: Math.max(a.utterances, b.utterances),
		audioMs: Math.max(a.audioMs, b.audioMs),
		computeMs: Math.max(a.computeMs, b.computeMs),
	};
}

function gate(): { promise: Promise<void>; open: () => void } {
	let open: () => void = () => undefined;
	const promise = new Promise<void>((resolve) => {
		open = resolve;
	});
	return { promise, open };
}
