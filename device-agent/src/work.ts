import { asWattvoxError, type Log, WattvoxError } from "@wattvox/core";
import type { Desired } from "@wattvox/link";
import { Bell } from "./bell.ts";
import type { Engines } from "./engine/engines.ts";
import type { Executor } from "./executor.ts";
import type { FlooredClock } from "./floors.ts";
import type { HeldVoices } from "./held-voices.ts";
import type { JoulesGate, JoulesView } from "./joules/joules-gate.ts";
import {
	type EngineView,
	plan,
	type Reason,
	type Rejected,
	type Step,
	type View,
} from "./planner.ts";
import type { Active } from "./pointer.ts";
import type { Reporter } from "./reporter.ts";
import { Retry, repeats } from "./retry.ts";
import type { SpeakerProcess } from "./speaker/speaker-process.ts";
import type { DeviceState } from "./state.ts";
import type { TrustKeeper } from "./trust-keeper.ts";
import type { Wishes } from "./wishes.ts";

export interface WorkOptions {
	clock: FlooredClock;
	log: Log;
	state: DeviceState;
	wishes: Wishes;
	trust: TrustKeeper;
	speaker: SpeakerProcess;
	engines: Engines | undefined;
	joules: JoulesGate;
	voices: HeldVoices;
	executor: Executor;
	reporter: Reporter;
	/** Ceiling of the first and of any wait after a failed step, ms. */
	retryMs?: { base: number; max: number } | undefined;
}

/** Between two looks while updates wait for a clock or a newer root, ms. */
const STALE_MS = 30_000;

/**
 * Looks at the device, plans the next step and has it carried out, over and over.
 *
 * INVARIANTS
 * - One step at a time; between two of them everything is looked at anew.
 * - A failure that would only repeat rejects the bundle; after any other the step is tried again later.
 * - The search for an engine, and a measurement, give way to a new wish.
 */
export class Work {
	readonly #o: WorkOptions;
	readonly #bell: Bell;
	readonly #retry: Retry;
	readonly #stop = new AbortController();
	readonly #passed = new Set<string>();
	/** Breaks off the search for an engine or a measurement: an update is worth more. */
	#searching: AbortController | undefined;
	#active: Active | null = null;
	#rejected = new Map<string, Rejected>();
	#working: Promise<void> | undefined;

	constructor(options: WorkOptions) {
		this.#o = options;
		this.#bell = new Bell(options.clock);
		this.#retry = new Retry(options.clock, options.retryMs);
	}

	/** Which bundle speaks, or is about to; null: none. */
	get active(): Active | null {
		return this.#active;
	}

	/** As of the last look. */
	get rejected(): ReadonlyMap<string, Rejected> {
		return this.#rejected;
	}

	/** Of the active voice; null: there are to be no engines, or there is no voice. */
	get engine(): EngineView | null {
		const { engines } = this.#o;
		return this.#active && engines ? engines.view(this.#active.digest) : null;
	}

	/** A voice that may be asked for, and whose engine has not been looked for; null: none. */
	get #unseen(): string | null {
		const { engines, voices } = this.#o;
		const found = voices.offers.find(
			({ digest }) =>
				digest !== this.#active?.digest && engines?.unseen(digest),
		);
		return found?.digest ?? null;
	}

	/** Of the active voice; null: there is none. */
	get #joules(): JoulesView | null {
		const { joules, speaker } = this.#o;
		return this.#active && joules.view(this.#active.digest, speaker.runtime);
	}

	/** Why no update may begin. */
	get stale(): Reason | null {
		const { trust, wishes, clock } = this.#o;
		return trust.stale(wishes.current, clock.wall());
	}

	/** Finds the voice that an earlier run left. @throws WattvoxError E_OUTPUT, E_DISK_FULL */
	async recall(): Promise<void> {
		const { state, log } = this.#o;
		this.#active = await state.recallActive((digest) =>
			log.error({ bundle: digest }, "the active voice is damaged"),
		);
		await this.#o.voices.hold(this.#active);
	}

	/** Works until {@link stop}. */
	start(): void {
		this.#working ??= this.#run();
	}

	/** Breaks off what is being done. Idempotent. */
	async stop(): Promise<void> {
		this.#stop.abort(new WattvoxError("E_INTERRUPTED", "the agent stops"));
		this.#bell.ring();
		await this.#working;
	}

	/** Something has changed: looks soon. */
	wake(): void {
		this.#bell.ring();
	}

	/** Something else is wanted or allowed: what failed before counts no longer. */
	renew(): void {
		this.#retry.reset();
		this.#o.engines?.hurry();
	}

	/** A step that was cut does not end; undefined: it has. */
	stuck(why: WattvoxError | undefined): void {
		if (why) this.#trouble(why);
		else this.#o.reporter.trouble(undefined);
	}

	/** Another voice is wished for: an engine and the joules of the present one can wait. */
	yieldSearch(): void {
		this.#searching?.abort();
	}

	async #run(): Promise<void> {
		const { signal } = this.#stop;
		while (!signal.aborted) {
			this.#bell.reset();
			try {
				const step = plan(await this.#look());
				this.#o.reporter.step(step);
				if (!step || step.do === "wait" || step.do === "rest")
					await this.#bell.wait(step?.until ?? this.#lookAgain());
				else await this.#perform(step, signal);
			} catch (thrown) {
				// The disk cannot be read or written: nothing to be done but to look again later.
				this.#trouble(asWattvoxError(thrown));
				await this.#bell.wait(this.#retry.later());
			}
		}
	}

	/** A clock that was put right rings no bell. */
	#lookAgain(): number | undefined {
		return this.stale ? this.#o.clock.monotonic() + STALE_MS : undefined;
	}

	async #look(): Promise<View> {
		const { state, wishes, trust, clock } = this.#o;
		await trust.keep();
		await wishes.keep();
		this.#active = await state.active();
		await this.#o.voices.hold(this.#active);
		this.#rejected = await state.rejected();
		const { up, digest, failed, engine } = this.#o.speaker;
		return {
			now: clock.monotonic(),
			desired: wishes.current,
			stale: this.stale,
			active: this.#active,
			stored: new Set(await state.store.bundles()),
			staged: new Set(await state.store.stagedBundles()),
			laidOut: await state.laidOut(),
			passed: this.#passed,
			rejected: this.#rejected,
			damaged: this.#o.voices.damaged,
			speaker: { up, digest, failed, engine },
			engine: this.engine,
			unseen: this.#unseen,
			joules: this.#joules,
			retryAt: this.#retry.at,
		};
	}

	async #perform(step: Step, signal: AbortSignal): Promise<void> {
		const { log, wishes, executor, reporter } = this.#o;
		log.info({ step }, "step");
		if (step.do === "engine" || step.do === "look" || step.do === "measure")
			return this.#search(step, signal);
		const wished = wishes.current;
		try {
			await executor.execute(step, signal);
			if (step.do === "try") this.#passed.add(step.digest);
			if (step.do === "fall-back") this.#passed.delete(step.from);
			if (step.do === "activate") reporter.trouble(undefined);
			this.#retry.reset();
		} catch (thrown) {
			if (!signal.aborted)
				await this.#failed(step, wished, asWattvoxError(thrown));
		}
	}

	/** What an update may break off; what failed here is not an error of the voice. */
	async #search(
		step: Extract<Step, { do: "engine" | "look" | "measure" }>,
		signal: AbortSignal,
	): Promise<void> {
		const searching = new AbortController();
		this.#searching = searching;
		const { runtime } = this.#o.speaker;
		try {
			const either = AbortSignal.any([signal, searching.signal]);
			await this.#o.executor.execute(step, either);
		} catch (thrown) {
			if (signal.aborted || searching.signal.aborted) return;
			const error = asWattvoxError(thrown);
			const { code, message } = error;
			if (step.do === "engine")
				this.#o.engines?.blame(step.digest, { code, message });
			else if (step.do === "look")
				this.#o.engines?.overlook(step.digest, { code, message });
			// the disk did not take what was found, or it took too long
			else this.#o.joules.failed(step.digest, runtime, error);
		} finally {
			this.#searching = undefined;
		}
	}

	async #failed(
		step: Step,
		wished: Desired | null,
		error: WattvoxError,
	): Promise<void> {
		const { state, speaker, reporter } = this.#o;
		// What the speaker could not load is in the view already, and planned for.
		if (step.do === "swap" && speaker.failed) return;
		this.#trouble(error, step);
		if (wished && repeats(step, error)) {
			const { code, message } = error;
			const rejected = await state.rejected();
			const { bundle, revision } = wished;
			await state.setRejected(
				rejected.set(bundle, { code, message, revision }),
			);
			reporter.trouble(undefined);
			return;
		}
		this.#retry.later((error as { retryAfterMs?: number }).retryAfterMs);
	}

	#trouble({ code, message }: WattvoxError, step?: Step): void {
		this.#o.log.warn({ code, ...(step && { step }) }, message);
		this.#o.reporter.trouble({ code, message });
	}
}
