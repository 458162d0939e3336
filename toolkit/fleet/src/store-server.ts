import type { BlockSource } from "@wattvox/bundle";
import { BlockServer, Link, type LinkOptions } from "@wattvox/link";

export interface StoreServerOptions {
	source: BlockSource;
	/** The store's id, which desired states name. Default "store". */
	store?: string;
	/** The broker and how to get in; the client id is the store's. */
	broker: Omit<LinkOptions, "clientId" | "presence">;
	/** Default: every fleet. */
	fleet?: string;
	/** Blocks being read or sent at once. Default 8. */
	concurrency?: number;
}

/** A store on a broker: what devices pull bundles from. */
export class StoreServer {
	readonly store: string;
	readonly #o: StoreServerOptions;
	#link: Link | undefined;
	#server: BlockServer | undefined;

	constructor(options: StoreServerOptions) {
		this.#o = options;
		this.store = options.store ?? "store";
	}

	/** What it has done so far; undefined before it started. */
	get counters(): BlockServer["counters"] | undefined {
		return this.#server?.counters;
	}

	/** @throws WattvoxError E_BROKER, E_USAGE (id); the signal's reason */
	async start(signal?: AbortSignal): Promise<void> {
		if (this.#link) return;
		const link = new Link({ ...this.#o.broker, clientId: this.store });
		const server = new BlockServer({
			link,
			source: this.#o.source,
			store: this.store,
			...(this.#o.fleet !== undefined && { fleet: this.#o.fleet }),
			...(this.#o.concurrency && { concurrency: this.#o.concurrency }),
		});
		await link.start(signal);
		try {
			await server.start(signal);
		} catch (thrown) {
			await link.stop();
			throw thrown;
		}
		this.#link = link;
		this.#server = server;
	}

	/** Idempotent. */
	async stop(): Promise<void> {
		const link = this.#link;
		this.#link = undefined;
		// the link first: answers under way then fail at once instead of waiting for a reader
		await link?.stop();
		await this.#server?.stop();
	}
}
