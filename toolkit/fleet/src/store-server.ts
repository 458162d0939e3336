import type { BlockSource, EngineShelf } from "@wattvox/bundle";
import { BlockServer, Link, type LinkOptions } from "@wattvox/link";
import { EngineIntake, type EngineIntakeOptions } from "./engine-intake.ts";

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
	/** Takes engines that build stations bring. Default: none are taken. */
	engines?: Pick<EngineIntakeOptions, "shelf" | "trust" | "onOffer">;
}

/** A store on a broker: what devices pull bundles from. */
export class StoreServer {
	readonly store: string;
	readonly #o: StoreServerOptions;
	#link: Link | undefined;
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

	/** @throws WattvoxError E_BROKER, E_USAGE (id); the signal's reason */
	async start(signal?: AbortSignal): Promise<void> {
		if (this.#link) return;
		const link = new Link({ ...this.#o.broker, clientId: this.store });
		const { engines, source } = this.#o;
		const server = new BlockServer({
			link,
			source: engines ? withEngines(source, engines.shelf) : source,
			store: this.store,
			...(this.#o.fleet !== undefined && { fleet: this.#o.fleet }),
			...(this.#o.concurrency && { concurrency: this.#o.concurrency }),
		});
		const intake =
			engines &&
			new EngineIntake({
				...{ link, store: this.store, ...engines },
				...(this.#o.fleet !== undefined && { fleet: this.#o.fleet }),
			});
		await link.start(signal);
		try {
			await server.start(signal);
			await intake?.start(signal);
		} catch (thrown) {
			await link.stop();
			throw thrown;
		}
		this.#link = link;
		this.#server = server;
		this.#intake = intake;
	}

	/** Idempotent. */
	async stop(): Promise<void> {
		const link = this.#link;
		this.#link = undefined;
		// the link first: answers under way then fail at once instead of waiting for a reader
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
