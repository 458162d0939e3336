import {
	abandonable,
	asWattvoxError,
	backoff,
	type Clock,
	ID_PATTERN,
	redactText,
	systemClock,
	WattvoxError,
} from "@wattvox/core";
import type { IClientOptions, MqttClient } from "mqtt";
import { connectBroker } from "./connect-broker.ts";
import { Inbox } from "./inbox.ts";
import type { Handler, LinkOptions } from "./link-options.ts";
import { encode, type Presence } from "./messages.ts";
import {
	type Ask,
	type DeniedListener,
	Subscriptions,
} from "./subscriptions.ts";
import { matches, topic } from "./topics.ts";

export type { Handler, LinkOptions } from "./link-options.ts";
export type { DeniedListener } from "./subscriptions.ts";

/** CONNACK return codes 4 and 5: trying again with the same credentials cannot help. */
const REFUSED = new Set<unknown>([4, 5]);

/** A timer may ring this much before its time, ms: Node's counts whole ones. */
const EARLY_MS = 5;

/** What mqtt.js is told about a message that is acknowledged later, or never. */
const LATER = new Error("acknowledged by its handlers");

/**
 * A connection to an MQTT 3.1.1 broker that comes back by itself.
 *
 * INVARIANTS
 * - `ready` only while connected, with presence published and every subscription granted but those that
 *   the broker denies; see {@link Subscriptions}.
 * - What waits is bounded: QoS 0 is never queued, QoS 1 up to `queueLimit`; received messages up to
 *   `unacknowledgedLimit`.
 * - A QoS 1 message is acknowledged when its handlers are done with it; see {@link Inbox}.
 * - A promise that `publish` gave settles when the connection is lost (QoS 0) or the link stops.
 */
export class Link {
	readonly counters = { connects: 0, lost: 0, sent: 0, received: 0, errors: 0 };
	readonly #o: LinkOptions;
	readonly #clock: Clock;
	readonly #random: () => number;
	readonly #subscriptions: Subscriptions;
	readonly #over = new AbortController();
	/** Ends `start`, while it waits. */
	#failStart: (error: WattvoxError) => void = () => undefined;
	readonly #readyListeners = new Set<() => void>();
	readonly #lostListeners = new Set<() => void>();
	readonly #failOnLost = new Set<(error: WattvoxError) => void>();
	/** What the handlers of the message under way gave. */
	readonly #held: Promise<unknown>[] = [];
	/** Of the connection there is: another's acknowledgements would mean other messages. */
	#inbox: { of: unknown; messages: Inbox } | undefined;
	readonly #failOnStop = new Set<(error: WattvoxError) => void>();
	#client: MqttClient | undefined;
	#ready = false;
	#stopped = false;
	#attempt = 0;
	#queued = 0;
	#session = 0;
	#lastError: Error | undefined;

	constructor(options: LinkOptions) {
		this.#o = options;
		this.#clock = options.clock ?? systemClock;
		this.#random = options.random ?? Math.random;
		this.#subscriptions = new Subscriptions({
			clock: this.#clock,
			random: this.#random,
			againMs: options.deniedMs ?? { base: 30_000, max: 1_800_000 },
			onUnheard: (why) => {
				this.counters.errors++;
				this.#lastError = why;
				this.#failStart(why);
				options.onDenied?.(why);
			},
			onWait: (ms) => void this.#askAgain(ms),
		});
	}

	/** The broker keeps subscriptions and QoS 1 messages while this client is away. */
	get persistent(): boolean {
		return this.#o.persistent ?? false;
	}

	/** Connected, subscribed and announced. */
	get ready(): boolean {
		return this.#ready;
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
		const client = this.#client;
		if (!client) return;
		this.#inbox?.messages.flush();
		// connected is enough: the birth may be out before it is acknowledged
		const told = client.connected && (await this.#goodbye(client));
		this.#lost();
		const error = new WattvoxError("E_BROKER", "the link was stopped");
		for (const fail of this.#failOnStop) fail(error);
		this.#subscriptions.fail(error);
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
			const timeout = AbortSignal.timeout(1000);
			await abandonable(this.#announce(client, false), timeout);
			return true;
		} catch {
			return false;
		}
	}

	/**
	 * Resolves as soon as the link is ready.
	 * @throws WattvoxError E_BROKER once it is stopped; the signal's reason
	 */
	async whenReady(signal?: AbortSignal): Promise<void> {
		if (this.#ready) return;
		if (this.#stopped)
			throw new WattvoxError("E_BROKER", "the link was stopped");
		let off: () => void = () => undefined;
		let fail: (error: WattvoxError) => void = () => undefined;
		const ready = new Promise<void>((resolve, reject) => {
			off = this.onReady(resolve);
			fail = reject;
			this.#failOnStop.add(fail);
		});
		try {
			await abandonable(ready, signal);
		} finally {
			off();
			this.#failOnStop.delete(fail);
		}
	}

	/** Calls `listener` whenever the link becomes ready. @returns takes it back */
	onReady(listener: () => void): () => void {
		this.#readyListeners.add(listener);
		return () => this.#readyListeners.delete(listener);
	}

	/** Calls `listener` whenever the link is lost. @returns takes it back */
	onLost(listener: () => void): () => void {
		this.#lostListeners.add(listener);
		return () => this.#lostListeners.delete(listener);
	}

	/**
	 * Publishes. QoS 0 resolves when the bytes are handed to the socket and fails at once while there
	 * is no connection; QoS 1 resolves with the broker's acknowledgement, across reconnections.
	 * @throws WattvoxError E_BROKER, E_BUSY (too many wait), E_USAGE (too long); the signal's reason,
	 * in which case the message may still go out
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
		if (qos === 0 && !this.#ready)
			throw new WattvoxError("E_BROKER", "no connection to the broker");
		if (qos === 1 && this.#queued >= (this.#o.queueLimit ?? 1000))
			throw new WattvoxError("E_BUSY", "too many messages wait for the broker");
		const losers = qos === 0 ? this.#failOnLost : this.#failOnStop;
		let fail: (error: WattvoxError) => void = () => undefined;
		if (qos === 1) this.#queued++;
		const sent = new Promise<void>((resolve, reject) => {
			fail = reject;
			losers.add(fail);
			client.publish(to, payload, { qos, retain }, (error) =>
				error ? reject(this.#brokerError("not sent", error)) : resolve(),
			);
		});
		// not in a finally below: an abandoned QoS 1 message still waits, and still counts
		const settled = () => {
			losers.delete(fail);
			if (qos === 1) this.#queued--;
		};
		sent.then(settled, settled);
		await (signal ? abandonable(sent, signal) : sent);
		this.counters.sent++;
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
			reconnectPeriod: this.#nextWait(),
			reconnectOnConnackError: true,
			resubscribe: false,
			queueQoSZero: false,
			...(o.username !== undefined && { username: o.username }),
			...(o.password !== undefined && { password: o.password }),
			...o.tls,
			...this.#newWill(),
		};
		const { timeFloor: floor } = o;
		const client = connectBroker(
			o.url,
			options,
			floor && { floor, clock: this.#clock },
		);
		this.#client = client;
		client.on("connect", () => void this.#connected(client));
		client.on("message", (name, payload, packet) => {
			this.counters.received++;
			this.#dispatch(name, payload, packet.retain);
		});
		// called after each message's handlers, and before the next is read
		client.handleMessage = (packet, done) => {
			const held = this.#held.splice(0);
			const inbox = this.#inboxOf(client);
			if (packet.cmd !== "publish" || (held.length === 0 && inbox.empty))
				return done();
			const id = packet.qos > 0 ? packet.messageId : undefined;
			// with an error mqtt.js goes on and leaves the acknowledgement to us
			inbox.take(id, held, () => done(LATER));
		};
		client.on("error", (error) => {
			this.counters.errors++;
			this.#lastError = error;
		});
		client.on("close", () => {
			this.#subscriptions.lost();
			this.#lost();
			this.#attempt++;
			client.options.reconnectPeriod = this.#nextWait();
			Object.assign(client.options, this.#newWill());
		});
		return client;
	}

	#inboxOf(client: MqttClient): Inbox {
		const { stream } = client;
		if (this.#inbox?.of !== stream)
			this.#inbox = {
				of: stream,
				messages: new Inbox(
					this.#o.unacknowledgedLimit ?? 20_000,
					(acknowledgements) => {
						if (client.stream === stream && client.connected)
							stream.write(acknowledgements);
					},
				),
			};
		return this.#inbox.messages;
	}

	async #connected(client: MqttClient): Promise<void> {
		const { stream } = client;
		// otherwise the tail of every message waits for the acknowledgement of the last (Nagle)
		(stream as { setNoDelay?: (on: boolean) => void }).setNoDelay?.(true);
		this.counters.connects++;
		const session = this.#session;
		try {
			await this.#subscriptions.renew(this.#asker(client));
			// its goodbye is on its way, and has to be the last word
			if (this.#stopped) return;
			if (this.#o.presence) await this.#announce(client, true);
		} catch (thrown) {
			// come back with the usual waits
			this.#failed(stream, thrown);
			return;
		}
		if (!client.connected || this.#stopped || session !== this.#session) return;
		this.#attempt = 0;
		client.options.reconnectPeriod = this.#nextWait();
		this.#ready = true;
		for (const listener of [...this.#readyListeners]) listener();
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
		await this.#subscriptions
			.retry(this.#asker(client))
			.catch((thrown) => this.#failed(stream, thrown));
	}

	/** The connection is of no use. */
	#failed(stream: MqttClient["stream"], thrown: unknown): void {
		this.#lastError = asWattvoxError(thrown);
		stream.destroy();
	}

	#lost(): void {
		const was = this.#ready;
		this.#ready = false;
		const error = this.#brokerError("the connection to the broker was lost");
		for (const fail of [...this.#failOnLost]) fail(error);
		if (!was) return;
		this.counters.lost++;
		for (const listener of [...this.#lostListeners]) listener();
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
		const limit = this.#o.answerMs ?? 30_000;
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

	#dispatch(name: string, payload: Buffer, retained: boolean): void {
		for (const [filter, handlers] of this.#subscriptions.handlers()) {
			if (!matches(filter, name)) continue;
			for (const handler of handlers)
				try {
					const held = handler(name, payload, retained);
					if (held instanceof Promise) {
						held.catch(() => this.counters.errors++);
						this.#held.push(held);
					}
				} catch {
					this.counters.errors++;
				}
		}
	}

	async #announce(client: MqttClient, online: boolean): Promise<void> {
		if (!this.#o.presence) return;
		const { fleet, device } = this.#o.presence;
		const message: Presence = { v: 1, online, session: this.#session };
		await client.publishAsync(
			topic(fleet, device, "presence"),
			encode(message),
			{
				qos: 1,
				retain: true,
			},
		);
	}

	/** A will of its own for every connection: its session tells a late will from a new birth. */
	#newWill(): Pick<IClientOptions, "will"> {
		this.#session = Math.max(this.#session + 1, this.#clock.wall());
		if (!this.#o.presence) return {};
		const { fleet, device } = this.#o.presence;
		const message: Presence = { v: 1, online: false, session: this.#session };
		return {
			will: {
				topic: topic(fleet, device, "presence"),
				payload: encode(message),
				qos: 1,
				retain: true,
			},
		};
	}

	#nextWait(): number {
		const { base, max } = this.#o.reconnectMs ?? { base: 100, max: 10_000 };
		// mqtt.js takes 0 for "never"
		return 1 + backoff(this.#attempt + 1, base, max, this.#random);
	}

	#brokerError(what: string, cause: Error | undefined = this.#lastError) {
		const where = redactText(this.#o.url);
		const why = cause?.message ? `: ${redactText(cause.message)}` : "";
		return new WattvoxError("E_BROKER", `${what} (${where})${why}`, { cause });
	}
}
