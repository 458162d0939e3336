import { asWattvoxError, type Clock } from "@wattvox/core";
import type {
	PowerMessage,
	UtteranceRecord,
	UtterancesMessage,
} from "@wattvox/link";
import type { Backlog } from "./backlog.ts";
import { type Entry, NOTHING_LOST, type Stream } from "./entries.ts";

export interface OutboxOptions {
	device: string;
	/** What kind of device it is. */
	deviceClass: string;
	backlog: Backlog;
	/** Resolves when the broker has it. */
	publish: (
		kind: "power" | "utterances",
		message: PowerMessage | UtterancesMessage,
	) => Promise<void>;
	/** Whether a message would go out now. */
	online: () => boolean;
	clock: Clock;
}

/**
 * Readings that may be on their way together, and utterances in one message: when a fleet comes back,
 * its collector has so many of each device at once.
 */
const AT_ONCE = { power: 20, utterance: 20 } as const;
/** How long the last words may take at the end, ms. */
const FLUSH_MS = 1000;

/**
 * Brings readings and utterances to the broker, whenever there is one.
 *
 * INVARIANTS
 * - Everything is in the backlog before it is sent, and leaves it with the broker's acknowledgement: each
 *   arrives at least once, and whoever receives it twice knows it by its boot and number.
 * - One batch is on its way at a time, the oldest first: a long absence ends in no flood.
 * - What the broker denies stays in the backlog, and keeps nothing else from being sent.
 */
export class Outbox {
	readonly #o: OutboxOptions;
	#draining: Promise<void> = Promise.resolve();
	#busy = false;
	/** What was last told of the losses. */
	#told = JSON.stringify(NOTHING_LOST);

	constructor(options: OutboxOptions) {
		this.#o = options;
	}

	/**
	 * A reading of the counters.
	 * @param last nothing that comes later says it again
	 * @returns resolves when it is in the backlog
	 */
	async power(body: PowerMessage, last = false): Promise<void> {
		await this.#o.backlog.add({ stream: "power", body }, last);
		this.drain();
	}

	/** @returns resolves when it is in the backlog */
	async utterance(body: UtteranceRecord): Promise<void> {
		await this.#o.backlog.add({ stream: "utterance", body });
		this.drain();
	}

	/** Sends what waits, while there is a broker. @returns resolves when no more can be sent now */
	drain(): Promise<void> {
		if (!this.#busy) {
			this.#busy = true;
			this.#draining = this.#drain();
		}
		return this.#draining;
	}

	/** Gives what waits a moment, and the disk what is left. Idempotent. */
	async stop(): Promise<void> {
		if (this.#o.online()) {
			const over = new AbortController();
			await Promise.race([
				this.drain(),
				this.#o.clock.sleep(FLUSH_MS, over.signal).catch(() => undefined),
			]);
			over.abort();
		}
		await this.#o.backlog.close();
	}

	async #drain(): Promise<void> {
		const { backlog, online } = this.#o;
		const denied = new Set<Stream>();
		while (online()) {
			const batch = backlog.take(AT_ONCE, denied);
			const news = this.#told !== this.#lost() && !denied.has("utterance");
			if (batch.length === 0 && !news) break;
			try {
				await this.#send(batch);
			} catch (thrown) {
				// it goes with the next that is added, or when there is a broker again
				backlog.back(batch);
				if (asWattvoxError(thrown).code !== "E_DENIED") break;
				denied.add(batch[0]?.stream ?? "utterance");
				continue;
			}
			await backlog.sent(batch);
		}
		// here and not in a finally: what is added between the last look and that would not be sent
		this.#busy = false;
	}

	async #send(batch: readonly Entry[]): Promise<void> {
		const { publish, backlog, device, deviceClass } = this.#o;
		const readings = batch.flatMap((e) =>
			e.stream === "power" ? [publish("power", e.body)] : [],
		);
		if (readings.length > 0) {
			await Promise.all(readings);
			return;
		}
		const told = this.#lost();
		await publish("utterances", {
			...{ v: 1, device, deviceClass },
			log: backlog.log,
			lost: backlog.lost,
			records: batch.flatMap((e) => (e.stream === "utterance" ? e.body : [])),
		});
		this.#told = told;
	}

	#lost(): string {
		return JSON.stringify(this.#o.backlog.lost);
	}
}
