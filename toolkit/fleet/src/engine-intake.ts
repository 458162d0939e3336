import type { EngineShelf, Trust } from "@wattvox/bundle";
import {
	asWattvoxError,
	type Clock,
	systemClock,
	WattvoxError,
} from "@wattvox/core";
import {
	type Channel,
	decode,
	encode,
	type FetchOptions,
	filter,
	parseTopic,
	pullEngine,
	topic,
	UPLOAD_LANE,
	type Verdict,
	zOffer,
} from "@wattvox/link";

export interface EngineIntakeOptions
	extends Pick<FetchOptions, "stallMs" | "stallLimit" | "window"> {
	link: Channel;
	/** The store's id: offers that name another store are not ours. */
	store: string;
	/** Default: every fleet on this broker. */
	fleet?: string;
	/** Where engines go. */
	shelf: EngineShelf;
	/** Whose builder keys count, asked for each offer. */
	trust: () => Promise<Trust>;
	/** Longest time that one engine may take before the next station has its turn, ms. Default 30 min. */
	turnMs?: number;
	/** Stations that may wait. Default 64. */
	waiting?: number;
	clock?: Clock;
	/** Told what became of each offer. */
	onOffer?: (from: { fleet: string; device: string }, said: Verdict) => void;
}

interface Job {
	fleet: string;
	device: string;
	engine: string;
}

/**
 * Takes engines from build stations into a store: whoever offers one is asked for its head, and when a
 * trusted builder signed that, for its blocks.
 *
 * INVARIANTS
 * - Nothing of an engine is asked for, and nothing is written, before its signature was verified.
 * - Siblings are offered an engine only when all its blocks are on disk and hold to their signed hashes.
 * - One engine at a time, in windows: memory is bounded by a head and one window. Stations wait in turn, each
 *   with one engine, and none has its turn for longer than `turnMs`; what came by then stays for its next.
 */
export class EngineIntake {
	readonly counters = {
		offers: 0,
		/** Not parsed. */
		invalid: 0,
		/** On the shelf now. */
		held: 0,
		/** Of these, bytes that came. */
		bytes: 0,
		refused: 0,
	};
	readonly #o: EngineIntakeOptions;
	readonly #clock: Clock;
	readonly #queue = new Map<string, Job>();
	readonly #stop = new AbortController();
	#current: Job | undefined;
	#working: Promise<void> | undefined;
	#off: (() => Promise<void>) | undefined;

	constructor(options: EngineIntakeOptions) {
		this.#o = options;
		this.#clock = options.clock ?? systemClock;
	}

	/** Starts to listen. @throws WattvoxError E_BROKER, E_DENIED */
	async start(signal?: AbortSignal): Promise<void> {
		this.#off = await this.#o.link.subscribe(
			filter("offer", this.#o.fleet),
			(name, payload) => this.#hear(name, payload),
			signal,
		);
	}

	/** Stops listening and breaks off what is under way, which can be taken up again. Idempotent. */
	async stop(): Promise<void> {
		this.#stop.abort(new WattvoxError("E_INTERRUPTED", "the store stops"));
		this.#queue.clear();
		await this.#off?.();
		this.#off = undefined;
		await this.#working;
	}

	#hear(name: string, payload: Buffer): void {
		const from = parseTopic(name);
		const offer = decode(zOffer, payload);
		if (!from || !offer) {
			this.counters.invalid++;
			return;
		}
		if (offer.store !== this.#o.store || this.#stop.signal.aborted) return;
		this.counters.offers++;
		const { fleet, device } = from;
		const job: Job = { fleet, device, engine: offer.engine };
		if (same(job, this.#current)) return;
		const key = `${fleet}/${device}`;
		if (!this.#queue.has(key) && this.#queue.size >= (this.#o.waiting ?? 64)) {
			this.#say(job, new WattvoxError("E_BUSY", "too many stations wait"));
			return;
		}
		this.#queue.set(key, job);
		this.#working ??= this.#work().finally(() => {
			this.#working = undefined;
		});
	}

	async #work(): Promise<void> {
		for (const [key, job] of this.#queue) {
			this.#queue.delete(key);
			this.#current = job;
			let error: WattvoxError | undefined;
			try {
				await this.#take(job);
			} catch (thrown) {
				error = asWattvoxError(thrown);
			}
			this.#current = undefined;
			if (this.#stop.signal.aborted) return;
			this.#say(job, error);
		}
	}

	async #take({ fleet, device, engine }: Job): Promise<void> {
		const { link, store, shelf, stallMs, stallLimit = 4 } = this.#o;
		const { window = 32, turnMs = 30 * 60_000 } = this.#o;
		const over = new AbortController();
		const turn = new AbortController();
		const late = this.#clock.sleep(turnMs, over.signal).then(
			() => turn.abort(new WattvoxError("E_TIMEOUT", "its turn is over")),
			() => undefined,
		);
		try {
			const got = await pullEngine({
				...{ link, fleet, device, store, name: engine, stallLimit },
				...(stallMs !== undefined && { stallMs }),
				...{ window, lane: UPLOAD_LANE, clock: this.#clock },
				trust: await this.#o.trust(),
				place: async (head) =>
					(await shelf.hasPlan(head))
						? null
						: {
								part: await shelf.partPath(head),
								plan: shelf.planPath(head.sha256),
							},
				signal: AbortSignal.any([this.#stop.signal, turn.signal]),
			});
			await shelf.put(got.bytes);
			this.counters.bytes += got.head.size - got.keptBytes;
		} finally {
			over.abort();
			await late;
		}
	}

	#say({ fleet, device, engine }: Job, error: WattvoxError | undefined): void {
		this.counters[error ? "refused" : "held"]++;
		const verdict: Verdict = {
			...{ v: 1, store: this.#o.store, engine, held: !error },
			...(error && { reason: { code: error.code, message: error.message } }),
		};
		this.#o.onOffer?.({ fleet, device }, verdict);
		// a station that does not hear it offers again
		this.#o.link
			.publish(topic(fleet, device, "verdict"), encode(verdict), { qos: 1 })
			.catch(() => undefined);
	}
}

function same(a: Job, b: Job | undefined): boolean {
	return a.fleet === b?.fleet && a.device === b.device && a.engine === b.engine;
}
