import type { BlockSource, EngineShelf } from "@wattvox/bundle";
import { WattvoxError } from "@wattvox/core";
import {
	BlockServer,
	type Channel,
	Link,
	type LinkOptions,
} from "@wattvox/link";
import { Broker } from "./broker.ts";
import { brokerChannel } from "./broker-channel.ts";
import { EngineIntake, type EngineIntakeOptions } from "./engine-intake.ts";

export interface StoreServerOptions {
	source: BlockSource;
	/** The store's id, which desired states name. Default "store". */
	store?: string;
	/** The embedded broker in this process; or a broker and how to get in, the client id being the store's. */
	broker: Broker | Omit<LinkOptions, "clientId" | "presence">;
	/** Default: every fleet. */
	fleet?: string;
	/** Blocks being read or sent at once. Default 8. */
	concurrency?: number;
	/** Takes engines that build stations bring. Default: none are taken. */
	engines?: Pick<EngineIntakeOptions, "shelf" | "trust" | "onOffer">;
}

/** A store on a broker: what devices pull bundles from. */
export class StoreServer {
	readonly store: string;
	readonly #o: StoreServerOptions;
	#link: Link | undefined;
	#over: AbortController | undefined;
	#server: BlockServer | undefined;
	#intake: EngineIntake | undefined;

	constructor(options: StoreServerOptions) {
		this.#o = options;
		this.store = options.store ?? "store";
	}

	/** What it has done so far; undefined before it started. */
	get counters(): BlockServer["counters"] | undefined {
		return this.#server?.counters;
	}

	/** @throws WattvoxError E_BROKER, E_DENIED, E_USAGE (id); the signal's reason */
	async start(signal?: AbortSignal): Promise<void> {
		if (this.#over) return;
		const { broker, engines, source, fleet, concurrency } = this.#o;
		const over = new AbortController();
		let link: Link | undefined;
		let channel: Channel;
		if (broker instanceof Broker) channel = brokerChannel(broker, over.signal);
		else channel = link = new Link({ ...broker, clientId: this.store });
		const server = new BlockServer({
			link: channel,
			source: engines ? withEngines(source, engines.shelf) : source,
			store: this.store,
			...(fleet !== undefined && { fleet }),
			...(concurrency && { concurrency }),
		});
		const intake =
			engines &&
			new EngineIntake({
				...{ link: channel, store: this.store, ...engines },
				...(fleet !== undefined && { fleet }),
			});
		await link?.start(signal);
		try {
			await server.start(signal);
			await intake?.start(signal);
		} catch (thrown) {
			await link?.stop();
			throw thrown;
		}
		this.#link = link;
		this.#over = over;
		this.#server = server;
		this.#intake = intake;
	}

	/** Idempotent. */
	async stop(): Promise<void> {
		const [link, over] = [this.#link, this.#over];
		this.#link = undefined;
		this.#over = undefined;
		// these first: answers under way then fail at once instead of waiting for a reader
		over?.abort(new WattvoxError("E_INTERRUPTED", "the store stops"));
		await link?.stop();
		await this.#intake?.stop();
		await this.#server?.stop();
	}
}

/** A store and a shelf as one; a store that offers engines has its shelf already. */
function withEngines(source: BlockSource, shelf: EngineShelf): BlockSource {
	if (source.readEngine) return source;
	return {
		readManifest: (digest) => source.readManifest(digest),
		readEngine: (name) => shelf.readHead(name),
		readBlock: async (sha256, index) =>
			(await shelf.readBlock(sha256, index)) ??
			(await source.readBlock(sha256, index)),
	};
}
