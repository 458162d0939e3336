import {
	asWattvoxError,
	backoff,
	type Clock,
	type Log,
	WattvoxError,
} from "@wattvox/core";
import {
	encode,
	type Kind,
	Link,
	type LinkOptions,
	parseTopic,
	topic,
} from "@wattvox/link";

export interface UplinkOptions {
	broker: Omit<LinkOptions, "clientId" | "presence">;
	fleet: string;
	device: string;
	clock: Clock;
	log: Log;
	/** A desired state, unverified. */
	onDesired: (payload: Buffer) => void;
	/** Roots, unverified. */
	onRoots: (payload: Buffer) => void;
	/** Connected, for the first time or again. */
	onReady: () => void;
	/** The broker began or ceased to keep something from this device. */
	onDenied: () => void;
}

/** A topic that the broker keeps from this device. */
export interface Denied {
	kind: Kind;
	code: string;
	message: string;
}

/** How long a goodbye may take, ms. */
const FLUSH_MS = 1000;
/** What was denied is said again after this, ms; it costs nothing before the link asks the broker again. */
const DENIED_MS = 30_000;

/**
 * The device's connection to its broker.
 *
 * INVARIANT: nobody waits for it who did not ask to. A device that finds no broker keeps looking
 * and keeps speaking.
 */
export class Uplink {
	readonly #o: UplinkOptions;
	readonly #stop = new AbortController();
	readonly #pending = new Set<Promise<unknown>>();
	#waiters: (() => void)[] = [];
	readonly #denied = new Map<Kind, WattvoxError>();
	#later: Promise<void> | undefined;
	#link: Link | undefined;
	#looking: Promise<void> | undefined;

	constructor(options: UplinkOptions) {
		this.#o = options;
	}

	get ready(): boolean {
		return this.#link?.ready ?? false;
	}

	/** What the broker keeps from this device; undefined: nothing that is known. */
	get denied(): WattvoxError | undefined {
		return [...this.#denied.values()].at(-1);
	}

	/** All that the broker keeps from this device, as far as it is known. */
	get denials(): Denied[] {
		return [...this.#denied].map(([kind, { code, message }]) => ({
			...{ kind, code, message },
		}));
	}

	/** Starts to look for the broker, in the background. */
	start(): void {
		this.#looking ??= this.#connect();
	}

	/** Gives what is on its way a moment, says goodbye and disconnects. Idempotent. */
	async stop(): Promise<void> {
		if (this.ready) {
			const over = new AbortController();
			await Promise.race([
				Promise.allSettled(this.#pending),
				this.#o.clock.sleep(FLUSH_MS, over.signal).catch(() => undefined),
			]);
			over.abort();
		}
		this.#stop.abort();
		await this.#link?.stop();
		await this.#looking;
	}

	/** The link, once the broker was found for the first time. @throws the signal's reason */
	async link(signal: AbortSignal): Promise<Link> {
		while (!this.#link) {
			signal.throwIfAborted();
			await new Promise<void>((resolve, reject) => {
				const abort = () => reject(signal.reason);
				signal.addEventListener("abort", abort, { once: true });
				this.#waiters.push(() => {
					signal.removeEventListener("abort", abort);
					resolve();
				});
			});
		}
		return this.#link;
	}

	/**
	 * Publishes under the device's own name, QoS 1.
	 * @throws WattvoxError E_BROKER (also while no broker was ever found), E_BUSY, E_DENIED; after that last one
	 *   `onReady` is called again in a while
	 */
	async publish(
		kind: "reported" | "power" | "utterances",
		message: object,
		retain: boolean,
	): Promise<void> {
		const { fleet, device } = this.#o;
		const sent = this.#link?.publish(
			topic(fleet, device, kind),
			encode(message),
			{ qos: 1, retain },
		);
		if (!sent) throw new WattvoxError("E_BROKER", "no broker was found yet");
		this.#pending.add(sent);
		try {
			await sent;
		} catch (thrown) {
			if (asWattvoxError(thrown).code === "E_DENIED")
				this.#later ??= this.#sayAgain();
			throw thrown;
		} finally {
			this.#pending.delete(sent);
		}
	}

	async #sayAgain(): Promise<void> {
		const { broker, clock, onReady } = this.#o;
		const { signal } = this.#stop;
		const wait = broker.deniedMs?.base ?? DENIED_MS;
		await clock.sleep(wait, signal).catch(() => undefined);
		this.#later = undefined;
		if (!signal.aborted && this.ready) onReady();
	}

	async #connect(): Promise<void> {
		const { broker, clock, log, onReady } = this.#o;
		const { signal } = this.#stop;
		for (let attempt = 1; !signal.aborted; attempt++) {
			try {
				const link = await this.#open(signal);
				this.#link = link;
				link.onReady(onReady);
				onReady();
				for (const waiter of this.#waiters.splice(0)) waiter();
				// Stopped while it connected: then stop() saw no link.
				if (signal.aborted) await link.stop();
				return;
			} catch (thrown) {
				if (signal.aborted) return;
				log.warn(asWattvoxError(thrown).message);
				const { base, max } = broker.reconnectMs ?? { base: 500, max: 10_000 };
				const wait = backoff(attempt, base, max, Math.random);
				await clock.sleep(wait, signal).catch(() => undefined);
			}
		}
	}

	async #open(signal: AbortSignal): Promise<Link> {
		const { broker, fleet, device, onDesired, onRoots } = this.#o;
		// of an attempt that came to nothing
		this.#denied.clear();
		const link = new Link({
			...broker,
			clientId: device,
			presence: { fleet, device },
			onPublishDenied: (name, why) => {
				const kind = parseTopic(name)?.kind;
				if (kind) this.#deny(kind, why);
			},
		});
		const listen = (kind: "root" | "desired", to: (payload: Buffer) => void) =>
			link.subscribe(
				topic(fleet, device, kind),
				(_, payload) => to(payload),
				undefined,
				(why) => this.#deny(kind, why),
			);
		await listen("root", onRoots);
		await listen("desired", onDesired);
		await link.start(signal);
		return link;
	}

	#deny(kind: Kind, why: WattvoxError | null): void {
		const { log, onDenied } = this.#o;
		if (why) {
			log.warn({ code: why.code }, why.message);
			this.#denied.set(kind, why);
		} else this.#denied.delete(kind);
		onDenied();
	}
}
