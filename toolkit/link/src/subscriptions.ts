import { WattvoxError } from "@wattvox/core";
import {
	type Denial as AnyDenial,
	type DenialOptions,
	denialAfter,
	STRIKES,
} from "./denial.ts";
import type { Handler } from "./link-options.ts";

/** Told why the broker denies a subscription; null: it grants it after all. */
export type DeniedListener = (why: WattvoxError | null) => void;

/** Asks the broker for filters, on one connection. @returns SUBACK's code for each */
export type Ask = (filters: readonly string[]) => Promise<readonly number[]>;

interface Subscriber {
	handler: Handler;
	onDenied: DeniedListener | undefined;
	/** Somebody waits for the answer, and hears of a denial that way. */
	waits: boolean;
}

interface Entry {
	readonly filter: string;
	readonly subscribers: Set<Subscriber>;
	/** On the connection that there is. */
	granted: boolean;
	/** Being asked for, alone. */
	asking: Promise<void> | undefined;
	/** A connection ended while this was asked for: it is asked for alone from now on. */
	suspect: boolean;
	/** Connections in a row that ended while this alone was asked for. */
	strikes: number;
	denied: Denial | undefined;
	readonly waiting: Set<(why: WattvoxError | null) => void>;
}

interface Denial extends AnyDenial {
	/** The broker answered, so that asking again costs no connection. */
	said: boolean;
}

export interface SubscriptionsOptions extends DenialOptions {
	/** Nobody else was told that a subscription is denied. */
	onUnheard: (why: WattvoxError) => void;
	/** `retry` has something to do after so long, ms. */
	onWait: (ms: number) => void;
}

/** SUBACK's failure in MQTT 3.1.1; brokers of 5 have more above it. */
const FAILURE = 0x80;

/**
 * Who listens to what, and what the broker said to it.
 *
 * Brokers deny in different ways: SUBACK with a failure; ending the connection; no answer. The first is an
 * answer. The others also happen to who is allowed, on a bad link: so filters under suspicion are asked for
 * one by one, and only one that was asked for alone, several connections in a row, counts as denied.
 *
 * INVARIANTS
 * - A denied filter keeps no other from being granted, and is asked for again after waits that double.
 * - Whoever subscribes is told of a denial: by its own promise, by its listener, or else `onUnheard` is.
 */
export class Subscriptions {
	readonly #o: SubscriptionsOptions;
	readonly #entries = new Map<string, Entry>();

	constructor(options: SubscriptionsOptions) {
		this.#o = options;
	}

	/** Every filter and its handlers. */
	*handlers(): Iterable<readonly [filter: string, handlers: Handler[]]> {
		for (const { filter, subscribers } of this.#entries.values())
			yield [filter, [...subscribers].map((s) => s.handler)];
	}

	/** @returns takes it back, and says whether the broker has to be told */
	add(
		filter: string,
		subscriber: Subscriber,
	): { entry: Entry; remove: () => boolean } {
		const entry: Entry = this.#entries.get(filter) ?? {
			filter,
			...{ subscribers: new Set(), waiting: new Set() },
			...{ granted: false, asking: undefined, denied: undefined },
			...{ suspect: false, strikes: 0 },
		};
		this.#entries.set(filter, entry);
		entry.subscribers.add(subscriber);
		const remove = () => {
			if (!entry.subscribers.delete(subscriber)) return false;
			if (entry.subscribers.size > 0) return false;
			// what is known of a denial outlives who ran into it
			if (!entry.denied && !entry.suspect) this.#entries.delete(filter);
			return entry.granted || entry.asking !== undefined;
		};
		return { entry, remove };
	}

	/** Asks for everything that is due, on a new connection. @throws what `ask` throws: the connection is of no use */
	async renew(ask: Ask): Promise<void> {
		const due = [...this.#entries.values()].filter(
			(e) => e.subscribers.size > 0 && !e.asking && !this.#answered(e),
		);
		const calm = due.filter((e) => !e.suspect);
		if (calm.length > 0) await this.#ask(calm, ask);
		for (const entry of due)
			if (entry.suspect && !entry.granted) await this.askFor(entry, ask);
		await Promise.all([...this.#entries.values()].map((e) => e.asking));
	}

	/** Asks again for what was denied, where it is time to. @throws what `ask` throws */
	async retry(ask: Ask): Promise<void> {
		const now = this.#o.clock.monotonic();
		for (const entry of [...this.#entries.values()])
			if (entry.subscribers.size > 0 && now >= (entry.denied?.until ?? now + 1))
				await this.askFor(entry, ask);
	}

	/** Asks for one alone, unless there is nothing to ask. @throws what `ask` throws */
	askFor(entry: Entry, ask: Ask): Promise<void> {
		if (entry.granted || this.#answered(entry)) return Promise.resolve();
		entry.asking ??= this.#ask([entry], ask).finally(() => {
			entry.asking = undefined;
		});
		return entry.asking;
	}

	/** Resolves when the broker grants it. @throws WattvoxError E_DENIED; `fail`'s */
	settled(entry: Entry): Promise<void> {
		if (entry.granted) return Promise.resolve();
		const known = this.#answered(entry);
		if (known) return Promise.reject(known);
		return new Promise((resolve, reject) => {
			entry.waiting.add((why) => (why ? reject(why) : resolve()));
		});
	}

	/** The connection went. */
	lost(): void {
		for (const entry of this.#entries.values()) entry.granted = false;
	}

	/** There will be no further connection. */
	fail(why: WattvoxError): void {
		for (const { waiting } of this.#entries.values()) {
			for (const settle of waiting) settle(why);
			waiting.clear();
		}
	}

	/** A denial that it would cost a connection to hear again, while it is fresh. */
	#answered({ denied }: Entry): WattvoxError | undefined {
		if (!denied || denied.said) return undefined;
		return this.#o.clock.monotonic() < denied.until ? denied.why : undefined;
	}

	async #ask(entries: readonly Entry[], ask: Ask): Promise<void> {
		let codes: readonly number[];
		try {
			codes = await ask(entries.map((e) => e.filter));
		} catch (thrown) {
			for (const entry of entries) {
				entry.suspect = true;
				if (entries.length === 1 && ++entry.strikes >= STRIKES)
					this.#deny(entry, false, thrown);
			}
			throw thrown;
		}
		for (const [i, entry] of entries.entries())
			if ((codes[i] ?? FAILURE) >= FAILURE) this.#deny(entry, true);
			else this.#grant(entry);
	}

	#grant(entry: Entry): void {
		const { denied } = entry;
		Object.assign(entry, {
			...{ granted: true, suspect: false, strikes: 0, denied: undefined },
		});
		for (const settle of entry.waiting) settle(null);
		entry.waiting.clear();
		if (denied) for (const s of entry.subscribers) s.onDenied?.(null);
	}

	#deny(entry: Entry, said: boolean, cause?: unknown): void {
		const how = said
			? "refuses it"
			: `ended ${entry.strikes} connections over it, or gave no answer`;
		const why = new WattvoxError(
			"E_DENIED",
			`the broker does not let this client listen to ${entry.filter}: it ${how}`,
			{ cause },
		);
		const denial = denialAfter(entry.denied, why, this.#o);
		entry.denied = { ...denial, said };
		this.#o.onWait(denial.wait);
		this.#tell(entry, why);
	}

	#tell(entry: Entry, why: WattvoxError): void {
		for (const { onDenied, waits } of [...entry.subscribers])
			if (!waits) (onDenied ?? this.#o.onUnheard)(why);
		for (const settle of entry.waiting) settle(why);
		entry.waiting.clear();
	}
}
