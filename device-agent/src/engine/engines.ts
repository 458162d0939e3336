import { join } from "node:path";
import type { Trust } from "@wattvox/bundle";
import { asWattvoxError, type Clock, type Log } from "@wattvox/core";
import type { EngineKey } from "@wattvox/runtime/tensorrt";
import type { EngineView, Reason } from "../planner.ts";
import { Retry } from "../retry.ts";
import type { EngineAt } from "../speaker/messages.ts";
import { EngineAbsent } from "./absent.ts";
import type { EngineCarrier } from "./carrier.ts";
import { EngineCache } from "./engine-cache.ts";
import { engineId } from "./entries.ts";
import { type EngineFigures, type EngineJob, runEngineJob } from "./job.ts";
import type { EngineWish } from "./prepare.ts";

/** Settings of a device that is to speak by TensorRT. */
export interface EngineSettings extends EngineWish {
	/** The compiled shim. */
	shim: string;
	/** Builds nothing: takes what a build station of its class signed, and waits for that. Default false. */
	pullOnly?: boolean | undefined;
	/** How long it waits for that, voice by voice, before it builds its own, ms. Default 0. */
	patienceMs?: number | undefined;
	/** Ceiling of the first and of any wait between two looks into the store, ms. Default 1 and 30 min. */
	waitMs?: { base: number; max: number } | undefined;
}

export interface EnginesOptions {
	/** The agent's folder. */
	dataDir: string;
	settings: EngineSettings;
	/** Whose engines may be opened beside those that are built here. */
	trust: Trust;
	/** Brings engines from the store, and takes those there that this device builds for others. */
	carrier?: Pick<EngineCarrier, "bring" | "offer">;
	/** For people: whose engine it waits for, and where. */
	station?: () => string;
	clock: Clock;
	/** Of ONNX Runtime, in the job. */
	threads: number;
	log: Log;
	/** What a job runs; another program only in tests. */
	main?: URL;
}

/** A laid-out voice whose engine is looked for. */
export interface VoiceOfEngine {
	/** Digest of its bundle. */
	voice: string;
	dir: string;
	/** Path of its golden sentences. */
	golden: string | null;
}

const WAIT_MS = { base: 60_000, max: 30 * 60_000 };

type Known = Exclude<EngineView, { state: "wanted" }>;

/**
 * The engines of the voices that this agent speaks with: which are ready, which are not to be had.
 *
 * INVARIANTS
 * - An engine is ready only after a job of this agent's tried it with the very voice: after every start of
 *   the agent it is tried again, so one that does not fit TensorRT, driver or device any more is found out
 *   in a child, beside the voice that speaks.
 * - One that was built elsewhere is opened only while the key that signed it is trusted for engines.
 * - One that failed, in its trial or in the speaker, stays failed until the agent starts again.
 * - A device that is to build none, or not yet, builds none; while it waits it asks the store, and starts no job before
 *   something has come. What came and did not hold for a voice is not taken for it again; other bytes are.
 */
export class Engines {
	readonly #o: EnginesOptions;
	readonly #known = new Map<string, Known>();
	readonly #ready = new Map<string, EngineAt>();
	/** Voices for which the cache alone has nothing now. */
	readonly #looked = new Set<string>();
	/** What would do for the voice that waits. */
	#missing: { voice: string; keys: readonly EngineKey[] } | undefined;
	/** Until when, monotonic ms, a voice's engine is not to be built here. */
	#patience: { voice: string; until: number } | undefined;
	readonly #retry: Retry;
	readonly #cache: EngineCache;

	constructor(options: EnginesOptions) {
		this.#o = options;
		const { clock, settings, dataDir } = options;
		this.#cache = new EngineCache(join(dataDir, "engines"));
		this.#retry = new Retry(clock, settings.waitMs ?? WAIT_MS);
	}

	/** @param digest of the bundle */
	view(digest: string): EngineView {
		return this.#known.get(digest) ?? { state: "wanted" };
	}

	/** What the speaker may load for a voice. */
	ready(digest: string): EngineAt | undefined {
		return this.#ready.get(digest);
	}

	/** Whether it is not known yet if the cache has an engine for a voice beside the active one. */
	unseen(digest: string): boolean {
		return !this.#known.has(digest) && !this.#looked.has(digest);
	}

	/** The speaker could not use it, or ended with it. */
	blame(digest: string, reason: Reason): void {
		this.#ready.delete(digest);
		this.#known.set(digest, { state: "failed", reason });
		this.#o.log.warn(
			{ bundle: digest, code: reason.code },
			`the voice speaks on ONNX Runtime: ${reason.message}`,
		);
	}

	/** Looking for the engine of a voice beside the active one went wrong; should it become active, it is looked for anew. */
	overlook(digest: string, { code, message }: Reason): void {
		this.#looked.add(digest);
		this.#o.log.info({ bundle: digest, code }, message);
	}

	/** Something else is wished for, or allowed: what waits for the store asks it at once. */
	hurry(): void {
		this.#retry.reset();
		for (const [digest, known] of this.#known)
			if (known.state === "waiting")
				this.#known.set(digest, { ...known, at: 0 });
	}

	/**
	 * Finds, brings or builds a voice's engine and tries it. Its failure is no error: the voice speaks on ONNX Runtime.
	 * @throws the signal's reason; then it is still to be done
	 */
	async prepare(of: VoiceOfEngine, signal: AbortSignal): Promise<void> {
		const { carrier, clock } = this.#o;
		const { voice } = of;
		const builds = this.#buildsFrom(voice) <= clock.monotonic();
		const waited = !builds && this.#missing?.voice === voice;
		if (waited && !(await this.#came(signal))) {
			this.#wait(voice, this.#missing?.keys ?? []);
			return;
		}
		const from = builds ? "anywhere" : "store";
		const id = await this.#attempt(of, from, signal);
		if (id === undefined) return;
		this.#missing = undefined;
		this.#retry.reset();
		// It may serve voices for which there was nothing before.
		this.#looked.clear();
		carrier?.offer(id);
	}

	/**
	 * Looks whether the cache has an engine for a voice beside the active one, and tries it; neither asks the
	 * store nor builds.
	 * @throws the signal's reason; then it is still to be done
	 */
	async look(of: VoiceOfEngine, signal: AbortSignal): Promise<void> {
		await this.#attempt(of, "cache", signal);
	}

	/** @returns the engine's name; undefined: there is none, which is known then */
	async #attempt(
		of: VoiceOfEngine,
		from: EngineJob["from"],
		signal: AbortSignal,
	): Promise<string | undefined> {
		const { settings, carrier, threads, log, main } = this.#o;
		const { voice } = of;
		const { dir: cache } = this.#cache;
		const {
			shim,
			pullOnly: _,
			patienceMs: __,
			waitMs: ___,
			...wish
		} = settings;
		let made: { engine: EngineAt; figures: EngineFigures };
		try {
			const builders = await this.#builders();
			made = await runEngineJob(
				{ ...of, cache, wish, builders, from, threads, shim },
				{
					signal,
					note: (line) => log.info({ bundle: voice }, line),
					bring:
						carrier && from !== "cache"
							? (key, signal) => this.#bring(key, voice, signal)
							: undefined,
					main,
				},
			);
		} catch (thrown) {
			signal.throwIfAborted();
			const { code, message } = asWattvoxError(thrown);
			if (from === "cache") this.overlook(voice, { code, message });
			else if (thrown instanceof EngineAbsent)
				this.#wait(voice, thrown.keys, message);
			else this.blame(voice, { code, message });
			return undefined;
		}
		const { engine, figures } = made;
		this.#ready.set(voice, engine);
		this.#known.set(voice, { state: "ready", id: engine.id });
		log.info({ bundle: voice, engine: engine.id, ...figures }, "engine ready");
		return engine.id;
	}

	/** Whether what was missing is in the cache now: imported by hand, or brought from the store. */
	async #came(signal: AbortSignal): Promise<boolean> {
		const { trust } = this.#o;
		const { voice = "", keys = [] } = this.#missing ?? {};
		for (const key of keys) {
			const refuted = await this.#refuted(key, voice);
			const { origin, sha256 = "" } = (await this.#cache.find(key)) ?? {};
			if (origin && !refuted.includes(sha256)) {
				if (origin.kind === "built") return true;
				if (trust.find(origin.key, "engine")) return true;
			}
			if ((await this.#bring(key, voice, signal)) !== null) return true;
		}
		return false;
	}

	/** @returns who signed what came; null: nothing did */
	async #bring(
		key: EngineKey,
		voice: string,
		signal: AbortSignal,
	): Promise<string | null> {
		const refuted = await this.#refuted(key, voice);
		const signer = await this.#o.carrier?.bring(key, signal, refuted);
		if (signer == null) return null;
		// In the place of what was there: voices that have that one are to look at this.
		const name = engineId(key);
		for (const [other, { id }] of this.#ready)
			if (id === name) {
				this.#ready.delete(other);
				this.#known.delete(other);
			}
		return signer;
	}

	/** What came from elsewhere under a key and did not hold for a voice. */
	async #refuted(key: EngineKey, voice: string): Promise<string[]> {
		const all = await this.#cache.failures.foreign(engineId(key), voice);
		return all.map(({ plan }) => plan);
	}

	/** From when on a voice's engine may be built here, monotonic ms. */
	#buildsFrom(voice: string): number {
		const { settings, clock } = this.#o;
		if (settings.pullOnly) return Number.POSITIVE_INFINITY;
		if (this.#patience?.voice !== voice)
			this.#patience = {
				voice,
				until: clock.monotonic() + (settings.patienceMs ?? 0),
			};
		return this.#patience.until;
	}

	#wait(voice: string, keys: readonly EngineKey[], why?: string): void {
		this.#missing = { voice, keys };
		const { settings, station = () => "a build station" } = this.#o;
		const names = keys.map((key) => engineId(key).slice(0, 12)).join(" or ");
		const minutes = Math.round((settings.patienceMs ?? 0) / 60_000);
		const most = settings.pullOnly ? "" : ` for ${minutes} min at most`;
		const message = `waits${most} for engine ${names} of ${station()}${why ? `; ${why}` : ""}`;
		const known = this.#known.get(voice);
		const reason: Reason =
			known?.state === "waiting" && why === undefined
				? known.reason
				: { code: "E_ENGINE_NONE", message };
		const at = Math.min(this.#retry.later(), this.#buildsFrom(voice));
		this.#known.set(voice, { state: "waiting", reason, at });
		this.#o.log.info({ bundle: voice, code: reason.code }, reason.message);
	}

	/** Keys that signed engines in the cache and may do so now. */
	async #builders(): Promise<string[]> {
		const keys = (await this.#cache.list()).flatMap(({ origin }) =>
			origin.kind === "signed" ? [origin.key] : [],
		);
		return keys.filter((id) => this.#o.trust.find(id, "engine"));
	}
}
