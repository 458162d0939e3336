import { join } from "node:path";
import {
	BLOCK_BYTES,
	hashPath,
	type PrivateKey,
	ReadAhead,
	signEngine,
	type Trust,
} from "@wattvox/bundle";
import {
	asWattvoxError,
	type Clock,
	type Log,
	WattvoxError,
} from "@wattvox/core";
import { type Budget, type Link, offerEngine, pullEngine } from "@wattvox/link";
import type { EngineKey } from "@wattvox/runtime/tensorrt";
import { EngineCache } from "./engine-cache.ts";
import { type EngineEntry, engineId } from "./entries.ts";

export interface EngineCarrierOptions {
	fleet: string;
	device: string;
	deviceClass: string;
	/** The agent's folder. */
	dataDir: string;
	/** Whose builder keys count. */
	trust: Trust;
	/** A connection to the broker; waits for one. */
	link: (signal: AbortSignal) => Promise<Link>;
	/** The store that the fleet names; undefined: nobody has named one yet. */
	store: () => string | undefined;
	/** Bytes that may come; unlimited without. */
	budget?: Budget;
	/** While this says true, engines come one block at a time. */
	busy: () => boolean;
	/** Signs what this device builds; without one, nothing is offered to anybody. */
	builder?: PrivateKey;
	clock: Clock;
	log: Log;
	/** How long a broker is waited for when an engine is wanted, ms. Default 30 000. */
	linkMs?: number;
}

/** Silences of the store, 5, 10 and 20 s, before a device builds for itself. */
const SILENCES = 3;
/** A block here and there is read again; the rest goes by once. */
const PIECES_KEPT = 2;

/**
 * Carries engines between this device and the store.
 *
 * INVARIANTS
 * - An engine that comes is in the cache only when a trusted builder signed it under the very key that was
 *   wanted, and every byte is what was signed. It is opened by nobody here.
 * - An engine that goes was built here, from a verified bundle, and survived its trial.
 * - That an engine does not come is no error: the device builds its own.
 */
export class EngineCarrier {
	readonly #o: EngineCarrierOptions;
	readonly #cache: EngineCache;
	readonly #stop = new AbortController();
	readonly #offered = new Set<string>();
	#offering: Promise<void> = Promise.resolve();

	constructor(options: EngineCarrierOptions) {
		this.#o = options;
		this.#cache = new EngineCache(join(options.dataDir, "engines"));
	}

	/**
	 * Brings an engine that a build station made into the cache.
	 * @param refuted digests of such engines' bytes that are not wanted: they did not hold here
	 * @returns the id of the builder key that signed it; null when there is none to be had
	 * @throws the signal's reason
	 */
	async bring(
		key: EngineKey,
		signal: AbortSignal,
		refuted: readonly string[] = [],
	): Promise<string | null> {
		const { fleet, device, trust, clock, busy, budget, log } = this.#o;
		const name = engineId(key);
		const store = this.#o.store();
		if (store === undefined) return null;
		let at = { part: "", plan: "" };
		try {
			const link = await this.#link(signal);
			const { head } = await pullEngine({
				...{ link, fleet, device, store, name, trust, clock, busy, signal },
				...(budget && { budget }),
				stallLimit: SILENCES,
				place: async (head) => {
					if (refuted.includes(head.sha256))
						throw new WattvoxError(
							"E_PULL",
							"the store has the engine that did not hold here, and no other",
						);
					at = await this.#cache.incoming(head.sha256);
					return at;
				},
			});
			await this.#cache.adopt(key, at.plan, head, {
				kind: "signed",
				key: head.signer,
			});
			log.info({ engine: name, signer: head.signer }, "engine came");
			return head.signer;
		} catch (thrown) {
			signal.throwIfAborted();
			const { code, message } = asWattvoxError(thrown);
			const none = code === "E_PULL";
			log[none ? "info" : "warn"]({ engine: name, code }, message);
			return null;
		}
	}

	/** Takes an engine of this device's to the store, in the background and once. */
	offer(id: string): void {
		const { builder } = this.#o;
		if (!builder || this.#offered.has(id) || this.#stop.signal.aborted) return;
		this.#offered.add(id);
		// one after the other
		this.#offering = this.#offering.then(() =>
			this.#take(id, builder).catch((thrown) => {
				this.#offered.delete(id);
				if (this.#stop.signal.aborted) return;
				const { code, message } = asWattvoxError(thrown);
				this.#o.log.warn({ engine: id, code }, message);
			}),
		);
	}

	/** Breaks off what is under way; the store takes it up again with the next offer. Idempotent. */
	async stop(): Promise<void> {
		this.#stop.abort(new WattvoxError("E_INTERRUPTED", "the agent stops"));
		await this.#offering;
	}

	async #take(id: string, builder: PrivateKey): Promise<void> {
		const { signal } = this.#stop;
		signal.throwIfAborted();
		const entry = (await this.#cache.list()).find((e) => e.id === id);
		// what others built is theirs to vouch for
		if (entry?.origin.kind !== "built") return;
		const { fleet, device, clock, log } = this.#o;
		const store = this.#o.store();
		if (store === undefined)
			throw new WattvoxError("E_PULL", "the fleet has named no store yet");
		const { head, file } = await this.#sign(entry, builder, signal);
		const blocks = new ReadAhead(PIECES_KEPT);
		const said = await offerEngine({
			...{ fleet, device, store, name: id, clock, signal },
			link: await this.#o.link(signal),
			source: {
				readEngine: async (name) => (name === id ? head : undefined),
				async readBlock(sha256, index) {
					if (sha256 !== file.sha256) return undefined;
					const at = index * BLOCK_BYTES;
					const block = await blocks.read(entry.path, at, BLOCK_BYTES);
					return block.byteLength > 0 ? block : undefined;
				},
			},
		});
		if (said.held) log.info({ engine: id, store }, "the store has the engine");
		else
			log.warn(
				{ engine: id, store, code: said.reason?.code },
				`the store refuses the engine: ${said.reason?.message ?? "it does not say why"}`,
			);
	}

	/** @throws WattvoxError E_TAMPERED: the file is not what was built */
	async #sign(entry: EngineEntry, builder: PrivateKey, signal: AbortSignal) {
		const file = await hashPath(entry.path, signal);
		if (file.sha256 !== entry.sha256)
			throw new WattvoxError("E_TAMPERED", `${entry.id} is not what was built`);
		const { deviceClass } = this.#o;
		const created = new Date(entry.created);
		const head = signEngine(entry.key, file, builder, { created, deviceClass });
		return { head, file };
	}

	async #link(signal: AbortSignal): Promise<Link> {
		const late = new AbortController();
		const over = new AbortController();
		const timer = this.#o.clock
			.sleep(this.#o.linkMs ?? 30_000, over.signal)
			.then(
				() => late.abort(new WattvoxError("E_BROKER", "no broker was found")),
				() => undefined,
			);
		try {
			return await this.#o.link(AbortSignal.any([signal, late.signal]));
		} finally {
			over.abort();
			await timer;
		}
	}
}
