import { WattvoxError } from "@wattvox/core";
import {
	type Denial,
	type DenialOptions,
	denialAfter,
	STRIKES,
} from "./denial.ts";

/** Told why the broker denies publishing on a topic; null: it took something there after all. */
export type PublishDeniedListener = (
	topic: string,
	why: WattvoxError | null,
) => void;

/** Publishes with QoS 1 on one connection. Resolves when the broker has it; rejects when the connection ends. */
export type Send = (message: Outgoing) => Promise<void>;

/** A message of QoS 1. */
export interface Outgoing {
	readonly topic: string;
	readonly payload: Buffer;
	readonly retain: boolean;
}

interface Waiting extends Outgoing {
	/** On the connection that there is. */
	under: boolean;
	readonly resolve: () => void;
	readonly reject: (why: unknown) => void;
}

interface Topic {
	readonly name: string;
	/** In the order in which they came. */
	readonly waiting: Set<Waiting>;
	/** A connection ended while something was under way on it: one message of it goes before all else. */
	suspect: boolean;
	/** Connections in a row that ended while this alone was under way. */
	strikes: number;
	denied: Denial | undefined;
}

export interface PublicationsOptions extends DenialOptions {
	/** Messages that may wait. */
	limit: number;
	/** @param wait how long the denial holds, ms */
	onDenied: (topic: string, why: WattvoxError | null, wait: number) => void;
}

/**
 * The QoS 1 messages that the broker has not acknowledged yet, across connections.
 *
 * MQTT 3.1.1 has no way of saying that a message is not allowed: brokers acknowledge and drop it, or end the
 * connection (3.3.5-2). The end of a connection says nothing by itself, so topics that were under way then are
 * under suspicion. On the next connection one message of each goes out before anything else does, in groups
 * that halve with each connection that ends, until one topic is under way alone; several such ends in a row
 * count as a denial.
 *
 * INVARIANTS
 * - A message ends in the broker's acknowledgement, in E_DENIED, or with the link; never twice.
 * - A denied topic costs a bounded number of connections, then none until its wait, which doubles, is over.
 * - It keeps no other from being published; messages of one topic go out in the order in which they came.
 */
export class Publications {
	readonly #o: PublicationsOptions;
	readonly #topics = new Map<string, Topic>();
	#send: Send | undefined;
	/** Topics under suspicion that are tried at a time. */
	#group = 1;
	#count = 0;

	constructor(options: PublicationsOptions) {
		this.#o = options;
	}

	/**
	 * Sends a message, on this connection or a later one. Resolves when the broker has it.
	 * @throws WattvoxError E_BUSY (too many wait), E_DENIED; what `fail` is given
	 */
	async add(message: Outgoing): Promise<void> {
		const known = this.#known(this.#topics.get(message.topic));
		if (known) throw known;
		if (this.#count >= this.#o.limit)
			throw new WattvoxError("E_BUSY", "too many messages wait for the broker");
		this.#count++;
		const topic = this.#topic(message.topic);
		await new Promise<void>((resolve, reject) => {
			const waiting = { ...message, under: false, resolve, reject };
			topic.waiting.add(waiting);
			if (this.#send) void this.#try(topic, waiting, this.#send);
		});
	}

	/**
	 * The first words of a connection: a message that this connection alone is about, and then one of each
	 * topic under suspicion. Nothing else may be under way meanwhile.
	 * @throws when the connection ends
	 */
	async begin(send: Send, first?: Outgoing): Promise<void> {
		if (first) await this.first(first, send);
		for (;;) {
			const suspects = this.#suspects().slice(0, this.#group);
			if (suspects.length === 0) return;
			const tried = suspects.map(([topic, message]) =>
				this.#try(topic, message, send).then((failure) => ({ topic, failure })),
			);
			const failed = (await Promise.all(tried)).filter((f) => f.failure);
			this.#group *= 2;
			if (failed.length === 0) continue;
			const why = failed[0]?.failure?.why;
			this.#group = Math.max(1, failed.length >> 1);
			if (failed.length === 1) this.#strike(failed[0]?.topic as Topic, why);
			throw why;
		}
	}

	/**
	 * Sends what is of this connection alone, unless it is denied.
	 * @throws when the connection ends
	 */
	async first(message: Outgoing, send: Send): Promise<void> {
		const topic = this.#topic(message.topic);
		if (this.#known(topic)) return;
		try {
			await send(message);
		} catch (thrown) {
			this.#strike(topic, thrown);
			throw thrown;
		}
		this.#granted(topic);
	}

	/** The connection is of use: what waits goes out, and what comes from now on at once. */
	open(send: Send): void {
		this.#send = send;
		for (const topic of this.#topics.values())
			for (const message of topic.waiting)
				if (!message.under) void this.#try(topic, message, send);
	}

	/** Whether the broker let nothing be published there when that was last tried. */
	denied(topic: string): boolean {
		return this.#topics.get(topic)?.denied !== undefined;
	}

	/** The connection went. What was under way rejects too, by itself. */
	lost(): void {
		this.#send = undefined;
	}

	/** There will be no further connection. */
	fail(why: WattvoxError): void {
		for (const topic of this.#topics.values()) this.#end(topic, why);
	}

	/** A denial, while it holds. */
	#known(topic: Topic | undefined): WattvoxError | undefined {
		const denied = topic?.denied;
		return denied && this.#o.clock.monotonic() < denied.until
			? denied.why
			: undefined;
	}

	#suspects(): [Topic, Waiting][] {
		const found: [Topic, Waiting][] = [];
		for (const topic of this.#topics.values())
			for (const message of topic.waiting) {
				if (topic.suspect) found.push([topic, message]);
				break;
			}
		return found;
	}

	/** @returns why the connection that it was given to is of no use */
	async #try(
		topic: Topic,
		message: Waiting,
		send: Send,
	): Promise<{ why: unknown } | undefined> {
		message.under = true;
		try {
			await send(message);
		} catch (why) {
			message.under = false;
			if (!topic.suspect) {
				topic.suspect = true;
				this.#group = Math.max(1, this.#suspects().length >> 1);
			}
			return { why };
		}
		// a stop may have ended it meanwhile
		if (topic.waiting.delete(message)) this.#count--;
		message.resolve();
		this.#granted(topic);
		return undefined;
	}

	#granted(topic: Topic): void {
		const { denied } = topic;
		Object.assign(topic, { suspect: false, strikes: 0, denied: undefined });
		if (topic.waiting.size === 0) this.#topics.delete(topic.name);
		if (denied) this.#o.onDenied(topic.name, null, 0);
	}

	#strike(topic: Topic, cause: unknown): void {
		if (++topic.strikes < STRIKES) return;
		const why = new WattvoxError(
			"E_DENIED",
			`the broker does not let this client publish on ${topic.name}: it ended ${topic.strikes} connections over it, or gave no answer`,
			{ cause },
		);
		const denial = denialAfter(topic.denied, why, this.#o);
		Object.assign(topic, { denied: denial, suspect: false });
		this.#end(topic, why);
		this.#o.onDenied(topic.name, why, denial.wait);
	}

	#end({ waiting }: Topic, why: WattvoxError): void {
		for (const { reject } of waiting) reject(why);
		this.#count -= waiting.size;
		waiting.clear();
	}

	#topic(name: string): Topic {
		const known = this.#topics.get(name);
		if (known) return known;
		const topic: Topic = {
			...{ name, waiting: new Set() },
			...{ suspect: false, strikes: 0, denied: undefined },
		};
		this.#topics.set(name, topic);
		return topic;
	}
}
