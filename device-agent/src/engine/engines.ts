import { join } from "node:path";
import type { Trust } from "@wattvox/bundle";
import { asWattvoxError, type Log } from "@wattvox/core";
import type { EngineView, Reason } from "../planner.ts";
import type { EngineAt } from "../speaker/messages.ts";
import type { EngineCarrier } from "./carrier.ts";
import { EngineCache } from "./engine-cache.ts";
import { type EngineFigures, runEngineJob } from "./job.ts";
import type { EngineWish } from "./prepare.ts";

/** Settings of a device that is to speak by TensorRT. */
export interface EngineSettings extends EngineWish {
	/** The compiled shim. */
	shim: string;
}

export interface EnginesOptions {
	/** The agent's folder. */
	dataDir: string;
	settings: EngineSettings;
	/** Whose engines may be opened beside those that are built here. */
	trust: Trust;
	/** Brings engines from the store, and takes those there that this device builds for others. */
	carrier?: Pick<EngineCarrier, "bring" | "offer">;
	/** Of ONNX Runtime, in the job. */
	threads: number;
	log: Log;
	/** What a job runs; another program only in tests. */
	main?: URL;
}

/**
 * The engines of the voices that this agent speaks with: which are ready, which are not to be had.
 *
 * INVARIANTS
 * - An engine is ready only after a job of this agent's tried it with the very voice: after every start of
 *   the agent it is tried again, so one that does not fit TensorRT, driver or device any more is found out
 *   in a child, beside the voice that speaks.
 * - One that was built elsewhere is opened only while the key that signed it is trusted for engines.
 * - One that failed, in its trial or in the speaker, stays failed until the agent starts again.
 */
export class Engines {
	readonly #o: EnginesOptions;
	readonly #known = new Map<string, Exclude<EngineView, { state: "wanted" }>>();
	readonly #ready = new Map<string, EngineAt>();

	constructor(options: EnginesOptions) {
		this.#o = options;
	}

	/** @param digest of the bundle */
	view(digest: string): EngineView {
		return this.#known.get(digest) ?? { state: "wanted" };
	}

	/** What the speaker may load for a voice. */
	ready(digest: string): EngineAt | undefined {
		return this.#ready.get(digest);
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

	/**
	 * Finds, brings or builds a voice's engine and tries it. Its failure is no error: the voice speaks on ONNX Runtime.
	 * @throws the signal's reason; then it is still to be done
	 */
	async prepare(
		voice: string,
		dir: string,
		golden: string | null,
		signal: AbortSignal,
	): Promise<void> {
		const { dataDir, settings, carrier, threads, log, main } = this.#o;
		const cache = join(dataDir, "engines");
		const { shim, ...wish } = settings;
		let made: { engine: EngineAt; figures: EngineFigures };
		try {
			made = await runEngineJob(
				{
					dir,
					voice,
					golden,
					cache,
					wish,
					builders: await this.#builders(cache),
					threads,
					shim,
				},
				{
					signal,
					note: (line) => log.info({ bundle: voice }, line),
					bring: carrier && ((key, signal) => carrier.bring(key, signal)),
					main,
				},
			);
		} catch (thrown) {
			signal.throwIfAborted();
			const { code, message } = asWattvoxError(thrown);
			this.blame(voice, { code, message });
			return;
		}
		const { engine, figures } = made;
		this.#ready.set(voice, engine);
		this.#known.set(voice, { state: "ready", id: engine.id });
		log.info({ bundle: voice, engine: engine.id, ...figures }, "engine ready");
		carrier?.offer(engine.id);
	}

	/** Keys that signed engines in the cache and may do so now. */
	async #builders(cache: string): Promise<string[]> {
		const keys = (await new EngineCache(cache).list()).flatMap(({ origin }) =>
			origin.kind === "signed" ? [origin.key] : [],
		);
		return keys.filter((id) => this.#o.trust.find(id, "engine"));
	}
}
