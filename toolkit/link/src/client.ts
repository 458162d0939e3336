import {
	abandonable,
	asWattvoxError,
	type Clock,
	ID_PATTERN,
	redactText,
	systemClock,
	WattvoxError,
} from "@wattvox/core";
import type { IClientOptions, MqttClient } from "mqtt";
import { connectBroker } from "./connect-broker.ts";
import { Incoming } from "./incoming.ts";
import type { Handler, LinkOptions } from "./link-options.ts";
import { PresenceTeller } from "./presence.ts";
import { type Outgoing, Publications, type Send } from "./publications.ts";
import { Readiness } from "./readiness.ts";
import { ReconnectWaits } from "./reconnect-waits.ts";
import {
	type Ask,
	type DeniedListener,
	Subscriptions,
} from "./subscriptions.ts";

export type { Handler, LinkOptions } from "./link-options.ts";
export type { PublishDeniedListener } from "./publications.ts";
export type { DeniedListener } from "./subscriptions.ts";

/** CONNACK return codes 4 and 5: trying again with the same credentials cannot help. */
const REFUSED = new Set<unknown>([4, 5]);

/** What a broker that was asked something is given to answer, ms. */
const ANSWER_MS = 30_000;

/** A timer may ring this much before its time, ms: Node's counts whole ones. */
const EARLY_MS = 5;

/**
 * A connection to an MQTT 3.1.1 broker that comes back by itself.
 *
 * INVARIANTS
 * - `ready` only while connected, with presence published and every subscription granted but those that
 *   the broker denies; see {@link Subscriptions}, {@link Publications}.
 * - What waits is bounded: QoS 0 is never queued, QoS 1 up to `queueLimit`; received messages up to
 *   `unacknowledgedLimit`.
 * - A QoS 1 message is acknowledged when its handlers are done with it; see {@link Incoming}.
 * - A promise that `publish` gave settles when the connection is lost (QoS 0), when the broker denies the
 *   topic (QoS 1) or the link stops.
 */
export class Link {
	readonly counters = { connects: 0, lost: 0, sent: 0, received: 0, errors: 0 };
	readonly #o: LinkOptions;
	readonly #clock: Clock;
	readonly #subscriptions: Subscriptions;
	readonly #publications: Publications;
	readonly #presence: PresenceTeller;
	readonly #waits: ReconnectWaits;
	readonly #over = new AbortController();
	/** Ends `start`, while it waits. */
	#failStart: (error: WattvoxError) => void = () => undefined;
	readonly #readiness = new Readiness();
	readonly #incoming: Incoming;
	#client: MqttClient | undefined;
	#stopped = false;
	#lastError: Error | undefined;

	constructor(options: LinkOptions) {
		this.#o = options;
		this.#clock = options.clock ?? systemClock;
		const denials = {
			clock: this.#clock,
			random: options.random ?? Math.random,
			againMs: options.deniedMs ?? { base: 30_000, max: 1_800_000 },
		};
		this.#subscriptions = new Subscriptions({
			...denials,
			onUnheard: (why) => {
				this.counters.errors++;
				this.#lastError = why;
				this.#failStart(why);
				options.onDenied?.(why);
			},
			onWait: (ms) => void this.#askAgain(ms),
		});
		this.#publications = new Publications({
			...denials,
			limit: options.queueLimit ?? 1000,
			onDenied: (name, why, wait) => this.#mute(name, why, wait),
		});
		this.#incoming = new Incoming({
			limit: options.unacknowledgedLimit ?? 20_000,
			handlers: () => this.#subscriptions.handlers(),
			onMessage: () => this.counters.received++,
			onError: () => this.counters.errors++,
		});
		this.#presence = new PresenceTeller(options.presence, this.#clock);
		this.#waits = new ReconnectWaits({
			ms: options.reconnectMs ?? { base: 100, max: 10_000 },
			random: denials.random,
			onWait: (ms) => {
				if (this.#client) this.#client.options.reconnectPeriod = ms;
			},
		});
	}

	/** The broker keeps subscriptions and QoS 1 messages while this client is away. */
	get persistent(): boolean {
		return this.#o.persistent ?? false;
	}

	/** Connected, subscribed and announced. */
	get ready(): boolean {
		return this.#readiness.ready;
	}

	/** What went wrong last; undefined while nothing ever did. */
	get lastError(): Error | undefined {
		return this.#lastError;
	}

	/**
	 * Connects. Later losses are mended behind the scenes, see `onLost` and `whenReady`.
	 * @throws WattvoxError E_BROKER (not reachable in time, or refused), E_DENIED (something subscribed to
	 *   before, without a listener for that), E_USAGE; the signal's reason
	 */
	async start(signal?: AbortSignal): Promise<void> {
		if (this.#client || this.#stopped)
			throw new WattvoxError("E_BUG", "a link starts once");
		if (!ID_PATTERN.test(this.#o.clientId))
			throw new WattvoxError("E_USAGE", "the MQTT client id is not an id");
		const client = this.#connect();
		const timeout = AbortSignal.timeout(this.#o.connectTimeoutMs ?? 10_000);
		const refused = new Promise<never>((_, reject) => {
			this.#failStart = reject;
			client.on("error", (error) => {
				if (REFUSED.has((error as { code?: unknown }).code))
					reject(this.#brokerError("the broker refused the connection"));
			});
		});
		refused.catch(() => undefined);
		try {
			const either = signal ? AbortSignal.any([signal, timeout]) : timeout;
			await Promise.race([this.whenReady(either), refused]);
		} catch (thrown) {
			await this.stop();
			signal?.throwIfAborted();
			if (thrown instanceof WattvoxError) throw thrown;
			throw this.#brokerError("no connection to the broker");
		} finally {
			this.#failStart = () => undefined;
		}
	}

	/** Says goodbye and disconnects. Idempotent. */
	async stop(): Promise<void> {
		if (this.#stopped) return;
		this.#stopped = true;
		this.#over.abort();
		const error = new WattvoxError("E_BROKER", "the link was stopped");
		this.#readiness.end(error);
		const client = this.#client;
		if (!client) return;
		this.#incoming.flush();
		// connected is enough: the birth may be out before it is acknowledged
		const told = client.connected && (await this.#goodbye(client));
		this.#lost();
		this.#subscriptions.fail(error);
		this.#publications.fail(error);
		await new Promise<void>((resolve) => {
			// forced where nobody was told: the broker then sends the will, which a graceful end takes back.
			// A graceful end would also wait for acknowledgements that may never come.
			const waits = Object.keys(client.outgoing).length > 0;
			client.end(!told || waits, {}, () => resolve());
			setTimeout(() => client.stream?.destroy(), 1000).unref();
		});
	}

	/** @returns whether it is settled that this device went, so that no will is needed */
	async #goodbye(client: MqttClient): Promise<boolean> {
		try {
			const message = this.#presence.message(false);
			const timeout = AbortSignal.timeout(1000);
			if (message) await abandonable(send(client, message), timeout);
			return true;
		} catch {
			return false;
		}
	}

	/**
	 * Resolves as soon as the link is ready.
	 * @throws WattvoxError E_BROKER once it is stopped; the signal's reason
	 */
	whenReady(signal?: AbortSignal): Promise<void> {
		return this.#readiness.when(signal);
	}

	/** Calls `listener` whenever the link becomes ready. @returns takes it back */
	onReady(listener: () => void): () => void {
		return this.#readiness.onReady(listener);
	}

	/** Calls `listener` whenever the link is lost. @returns takes it back */
	onLost(listener: () => void): () => void {
		return this.#readiness.onLost(listener);
	}

	/**
	 * Publishes. QoS 0 resolves when the bytes are handed to the socket and fails at once while there
	 * is no connection; QoS 1 resolves with the broker's acknowledgement, across reconnections. A topic that
	 * connections end over, one after the other, counts as denied: then and for a while from then on, what is
	 * published on it fails at once, and the next message after that is how the broker is asked again.
	 * @throws WattvoxError E_BROKER, E_BUSY (too many wait), E_DENIED (QoS 1), E_USAGE (too long); the signal's
	 * reason, in which case the message may still go out
	 */
	async publish(
		to: string,
		payload: Buffer,
		options: { qos?: 0 | 1; retain?: boolean; signal?: AbortSignal } = {},
	): Promise<void> {
		const { qos = 0, retain = false, signal } = options;
		const client = this.#client;
		signal?.throwIfAborted();
		if (!client || this.#stopped)
			throw new WattvoxError("E_BROKER", "the link is not running");
		const limit = this.#o.payloadLimit ?? 128 * 1024;
		if (payload.byteLength > limit)
			throw new WattvoxError(
				"E_USAGE",
				`a message of ${payload.byteLength} bytes is over the limit of ${limit}`,
			);
		const sent =
			qos === 1
				? this.#publications.add({ topic: to, payload, retain })
				: this.#publishNow(client, to, payload, retain);
		await (signal ? abandonable(sent, signal) : sent);
		this.counters.sent++;
	}

	async #publishNow(
		client: MqttClient,
		to: string,
		payload: Buffer,
		retain: boolean,
	): Promise<void> {
		if (!this.ready)
			throw new WattvoxError("E_BROKER", "no connection to the broker");
		await this.#readiness.onThisConnection((resolve, reject) =>
			client.publish(to, payload, { qos: 0, retain }, (error) =>
				error ? reject(this.#brokerError("not sent", error)) : resolve(),
			),
		);
	}

	/**
	 * Subscribes, now and after every reconnection. Before `start` it returns at once; from then on when the
	 * broker has granted it, on this connection or a later one.
	 * @param onDenied told when the broker denies it, and when it no longer does, which is asked after every
	 *   reconnection and after waits that double
	 * @returns takes the handler back
	 * @throws WattvoxError E_DENIED, E_BROKER (the link is stopped meanwhile); the signal's reason
	 */
	async subscribe(
		filter: string,
		handler: Handler,
		signal?: AbortSignal,
		onDenied?: DeniedListener,
	): Promise<() => Promise<void>> {
		signal?.throwIfAborted();
		const client = this.#client;
		const waits = client !== undefined && !this.#stopped;
		const subscriber = { handler, onDenied, waits };
		const { entry, remove } = this.#subscriptions.add(filter, subscriber);
		if (waits)
			try {
				const settled = this.#subscriptions.settled(entry);
				const { connected, stream } = client;
				if (connected)
					this.#subscriptions
						.askFor(entry, this.#asker(client))
						.catch((thrown) => this.#failed(stream, thrown));
				await abandonable(settled, signal);
				subscriber.waits = false;
			} catch (thrown) {
				remove();
				throw thrown;
			}
		return async () => {
			const now = this.#client;
			if (!remove() || !now?.connected || this.#stopped) return;
			await this.#bounded(now.unsubscribeAsync(filter)).catch(() => undefined);
		};
	}

	#connect(): MqttClient {
		const o = this.#o;
		const options: IClientOptions = {
			protocolVersion: 4,
			clientId: o.clientId,
			clean: !o.persistent,
			keepalive: o.keepaliveSeconds ?? 30,
			connectTimeout: o.connectTimeoutMs ?? 10_000,
			reconnectPeriod: this.#waits.first,
			reconnectOnConnackError: true,
			resubscribe: false,
			queueQoSZero: false,
			...(o.username !== undefined && { username: o.username }),
			...(o.password !== undefined && { password: o.password }),
			...o.tls,
			...this.#presence.nextWill(),
		};
		const { timeFloor: floor } = o;
		const client = connectBroker(
			o.url,
			options,
			floor && { floor, clock: this.#clock },
		);
		this.#client = client;
		client.on("connect", () => void this.#connected(client));
		this.#incoming.attach(client);
		client.on("error", (error) => {
			this.counters.errors++;
			this.#lastError = error;
		});
		client.on("close", () => {
			this.#subscriptions.lost();
			this.#publications.lost();
			// else mqtt.js would send them again, before it says that it is connected
			for (const id of Object.keys(client.outgoing))
				client.removeOutgoingMessage(Number(id));
			this.#lost();
			this.#waits.ended();
			Object.assign(client.options, this.#presence.nextWill());
		});
		return client;
	}

	async #connected(client: MqttClient): Promise<void> {
		const { stream } = client;
		// otherwise the tail of every message waits for the acknowledgement of the last (Nagle)
		(stream as { setNoDelay?: (on: boolean) => void }).setNoDelay?.(true);
		this.counters.connects++;
		const { session } = this.#presence;
		try {
			await this.#subscriptions.renew(this.#asker(client));
			// its goodbye is on its way, and has to be the last word
			if (this.#stopped) return;
			await this.#publications.begin(
				this.#sender(client),
				this.#presence.message(true),
			);
		} catch (thrown) {
			// come back with the usual waits
			this.#failed(stream, thrown);
			return;
		}
		if (
			!client.connected ||
			this.#stopped ||
			session !== this.#presence.session
		)
			return;
		this.#waits.connected();
		this.#publications.open((message) => send(client, message));
		this.#readiness.becomeReady();
	}

	/** What is published on a topic is denied, or no longer. */
	#mute(name: string, why: WattvoxError | null, wait: number): void {
		if (why) this.#lastError = why;
		this.#o.onPublishDenied?.(name, why);
		// of other topics, the next message is how the broker is asked again
		const own = name === this.#presence.message(true)?.topic;
		if (why && own) void this.#askAgain(wait);
	}

	/** After so long, or once it is ready, asks again for what the broker denies. */
	async #askAgain(ms: number): Promise<void> {
		const { signal } = this.#over;
		try {
			await this.#clock.sleep(ms + EARLY_MS, signal);
			await this.whenReady(signal);
		} catch {
			// stopped
			return;
		}
		const client = this.#client;
		if (!client) return;
		const { stream } = client;
		try {
			await this.#subscriptions.retry(this.#asker(client));
			const here = this.#presence.message(true);
			if (here && this.#publications.denied(here.topic))
				await this.#publications.first(here, this.#sender(client));
		} catch (thrown) {
			this.#failed(stream, thrown);
		}
	}

	/** The connection is of no use. */
	#failed(stream: MqttClient["stream"], thrown: unknown): void {
		this.#lastError = asWattvoxError(thrown);
		stream.destroy();
	}

	#lost(): void {
		const error = this.#brokerError("the connection to the broker was lost");
		if (this.#readiness.lost(error)) this.counters.lost++;
	}

	/** Publishes what a connection begins with. */
	#sender(client: MqttClient): Send {
		return (message) => this.#bounded(send(client, message));
	}

	#asker(client: MqttClient): Ask {
		return async (filters) => {
			try {
				const granted = client.subscribeAsync([...filters], { qos: 1 });
				return (await this.#bounded(granted)).map(({ qos }) => qos);
			} catch (thrown) {
				const { packet } = thrown as { packet?: { granted?: number[] } };
				if (packet?.granted?.length === filters.length) return packet.granted;
				throw this.#brokerError("no subscription", thrown as Error);
			}
		};
	}

	/** @throws Error when the broker does not answer in time */
	async #bounded<T>(answer: Promise<T>): Promise<T> {
		const over = new AbortController();
		const limit = this.#o.answerMs ?? ANSWER_MS;
		const silence = this.#clock.sleep(limit, over.signal).then(() => {
			throw new Error(`the broker gave no answer for ${limit / 1000} s`);
		});
		silence.catch(() => undefined);
		answer.catch(() => undefined);
		try {
			return await Promise.race([answer, silence]);
		} finally {
			over.abort();
		}
	}

	#brokerError(what: string, cause: Error | undefined = this.#lastError) {
		const where = redactText(this.#o.url);
		const why = cause?.message ? `: ${redactText(cause.message)}` : "";
		return new WattvoxError("E_BROKER", `${what} (${where})${why}`, { cause });
	}
}

/** Publishes with QoS 1. Rejects when the connection ends first. */
async function send(
	client: MqttClient,
	{ topic, payload, retain }: Outgoing,
): Promise<void> {
	await client.publishAsync(topic, payload, { qos: 1, retain });
}
