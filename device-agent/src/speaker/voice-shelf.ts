import { WattvoxError } from "@wattvox/core";
import type { Voice } from "@wattvox/synth";
import type { LoadedAside } from "./messages.ts";
import { SharedVoice } from "./shared-voice.ts";

export interface ShelfOptions {
	/** Voices at most; 0: none is loaded. */
	places: number;
	/** Memory at most, bytes, by estimate. */
	bytes: number;
	/** Memory that the system could still give, bytes. */
	available: () => number;
	/** Requests that may wait for voices to be loaded. */
	maxWaiting: number;
	/** Sees to it that a voice may be loaded. @throws WattvoxError when it may not */
	prepare: (digest: string) => Promise<Prepared>;
	/** What is loaded, or being loaded, has changed. */
	onChange?: () => void;
}

/** A voice that may be loaded. */
export interface Prepared {
	/** Most memory that it may take, bytes: an estimate. */
	bytes: number;
	load: () => Promise<{
		voice: Voice;
		/** The engine that it speaks by; null: ONNX Runtime. */
		engine: string | null;
		/** Memory that it takes as it came to be loaded, by estimate. Default: the most. */
		bytes?: number;
	}>;
}

/** A voice that is loaded, for as long as somebody holds it. */
export interface Lease {
	shared: SharedVoice;
	/** Lets go of it; call it exactly once. */
	give: () => Promise<void>;
}

interface Place {
	shared: SharedVoice;
	bytes: number;
	loadMs: number;
}

interface Pending {
	promise: Promise<SharedVoice>;
	waiting: number;
	/** Ends the hold that keeps the voice here until all who waited for it have it. */
	letGo: () => Promise<void>;
}

/** Memory that the system keeps when a voice is loaded, bytes: running out would end the voice that speaks. */
export const RESERVE_BYTES = 64e6;

/**
 * Voices beside the one that is active, loaded when they are asked for.
 *
 * INVARIANTS
 * - There are never more than `places` of them, nor (by estimate) more than `bytes`: the one that was
 *   longest unused goes first, and none that somebody holds.
 * - One is loaded at a time; requests for the same one share it.
 * - A voice that does not load, or for which there is no room, changes nothing for the others.
 */
export class VoiceShelf {
	readonly #o: ShelfOptions;
	/** Least recently used first. */
	readonly #places = new Map<string, Place>();
	readonly #pending = new Map<string, Pending>();
	#turn: Promise<unknown> = Promise.resolve();
	#loading: string | null = null;
	#freed: (() => void)[] = [];
	#closed = false;
	#loads = 0;
	#evictions = 0;

	constructor(options: ShelfOptions) {
		this.#o = options;
	}

	/** What is loaded, the least recently used first; `bytes` are estimates. */
	get loaded(): (LoadedAside & { loadMs: number })[] {
		return [...this.#places].map(([digest, { bytes, loadMs, shared }]) => ({
			...{ digest, bytes, loadMs },
			engine: shared.engine,
		}));
	}

	/** What is being loaded now. */
	get loading(): string | null {
		return this.#loading;
	}

	/** Requests that wait for a voice to be loaded. */
	get waiting(): number {
		return [...this.#pending.values()].reduce((n, p) => n + p.waiting, 0);
	}

	/** Loads so far, and voices that had to go for others. */
	get counts(): { loads: number; evictions: number } {
		return { loads: this.#loads, evictions: this.#evictions };
	}

	/**
	 * A voice, loaded for it where need be.
	 * @throws WattvoxError E_BUSY (too many wait), E_MEMORY (no room for it), and what weighing and loading
	 *   throw; the signal's reason
	 */
	async borrow(digest: string, signal: AbortSignal): Promise<Lease> {
		signal.throwIfAborted();
		const place = this.#places.get(digest);
		if (place) return this.#lease(place.shared);
		if (this.waiting >= this.#o.maxWaiting)
			throw new WattvoxError(
				"E_BUSY",
				`${this.#o.maxWaiting} requests wait for voices to be loaded already`,
			);
		const pending = this.#pending.get(digest) ?? this.#begin(digest);
		pending.waiting++;
		try {
			return this.#lease(await unless(signal, pending.promise));
		} finally {
			pending.waiting--;
			if (pending.waiting === 0) await pending.letGo();
			this.#wake();
		}
	}

	/**
	 * Gives a loaded voice up to the caller, who retires it.
	 * @param engine only if it speaks by this one
	 * @returns undefined: it is not here
	 */
	take(digest: string, engine?: string | null): SharedVoice | undefined {
		const place = this.#places.get(digest);
		if (!place || (engine !== undefined && place.shared.engine !== engine))
			return undefined;
		this.#places.delete(digest);
		this.#changed();
		return place.shared;
	}

	/** Lets voices go that are not to be had any more; who speaks with one ends in it. */
	async retain(digests: ReadonlySet<string>): Promise<void> {
		const gone = [...this.#places].filter(([digest]) => !digests.has(digest));
		for (const [digest] of gone) this.#places.delete(digest);
		if (gone.length > 0) this.#changed();
		await Promise.all(gone.map(([, { shared }]) => shared.retire()));
	}

	/** Frees all. */
	async close(): Promise<void> {
		this.#closed = true;
		this.#wake();
		await this.#turn;
		await this.retain(new Set());
	}

	#begin(digest: string): Pending {
		const promise = this.#turn.then(async () => {
			const shared = await this.#load(digest);
			if (pending.waiting > 0) pending.letGo = shared.hold();
			return shared;
		});
		this.#turn = promise.catch(() => undefined);
		const letGo = async () => undefined;
		const pending: Pending = { promise, waiting: 0, letGo };
		this.#pending.set(digest, pending);
		const over = () => this.#pending.delete(digest);
		promise.then(over, over);
		return pending;
	}

	async #load(digest: string): Promise<SharedVoice> {
		this.#throwIfUnwanted(digest);
		const { bytes, load } = await this.#o.prepare(digest);
		await this.#room(digest, bytes);
		this.#loading = digest;
		this.#changed();
		const begin = performance.now();
		try {
			const { voice, engine, bytes: taken = bytes } = await load();
			const shared = new SharedVoice(voice, digest, engine);
			const loadMs = performance.now() - begin;
			this.#places.set(digest, { shared, bytes: taken, loadMs });
			this.#loads++;
			return shared;
		} finally {
			this.#loading = null;
			this.#changed();
		}
	}

	/** Waits until there is room, and makes it. @throws WattvoxError E_MEMORY, E_INTERRUPTED */
	async #room(digest: string, bytes: number): Promise<void> {
		const { places, bytes: most } = this.#o;
		const MB = (n: number) => `${Math.ceil(n / 1e6)} MB`;
		if (places === 0)
			throw new WattvoxError(
				"E_MEMORY",
				"this device loads no voice beside the active one",
			);
		if (bytes > most)
			throw new WattvoxError(
				"E_MEMORY",
				`the voice needs about ${MB(bytes)}, and voices beside the active one may take ${MB(most)}`,
			);
		for (;;) {
			const used = this.loaded.reduce((sum, p) => sum + p.bytes, 0);
			const full = this.#places.size >= places || used + bytes > most;
			const short = this.#o.available() < bytes + RESERVE_BYTES;
			if (!full && !short) return;
			const oldest = [...this.#places].find(([, p]) => !p.shared.held);
			if (oldest) {
				await this.#evict(...oldest);
				continue;
			}
			// Who speaks with one now may be done soon; the system's memory is not ours to wait for.
			if (!full)
				throw new WattvoxError(
					"E_MEMORY",
					`the voice needs about ${MB(bytes)}, and the system has ${MB(this.#o.available())} left`,
				);
			await new Promise<void>((resolve) => this.#freed.push(resolve));
			this.#throwIfUnwanted(digest);
		}
	}

	/** @throws WattvoxError E_INTERRUPTED */
	#throwIfUnwanted(digest: string): void {
		if (this.#closed || this.#pending.get(digest)?.waiting === 0)
			throw new WattvoxError("E_INTERRUPTED", "nobody waits for the voice");
	}

	async #evict(digest: string, { shared }: Place): Promise<void> {
		this.#places.delete(digest);
		this.#evictions++;
		this.#changed();
		await shared.retire();
	}

	#lease(shared: SharedVoice): Lease {
		const { digest } = shared;
		const place = this.#places.get(digest);
		if (place) {
			// now it is the most recently used
			this.#places.delete(digest);
			this.#places.set(digest, place);
		}
		const letGo = shared.hold();
		return {
			shared,
			give: async () => {
				await letGo();
				this.#wake();
			},
		};
	}

	#changed(): void {
		this.#wake();
		this.#o.onChange?.();
	}

	#wake(): void {
		for (const wake of this.#freed.splice(0)) wake();
	}
}

/** A promise, unless the signal comes before. @throws the signal's reason */
function unless<T>(signal: AbortSignal, promise: Promise<T>): Promise<T> {
	return new Promise((resolve, reject) => {
		const abort = () => reject(signal.reason);
		signal.addEventListener("abort", abort, { once: true });
		promise
			.then(resolve, reject)
			.finally(() => signal.removeEventListener("abort", abort));
	});
}
