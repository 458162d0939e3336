import type { Trust } from "@wattvox/bundle";
import { type Clock, WattvoxError } from "@wattvox/core";
import { type Again, type Budget, type Link, pullBundle } from "@wattvox/link";
import type { GoldenLimits, GoldenResult } from "@wattvox/synth";
import type { Engines, VoiceOfEngine } from "./engine/engines.ts";
import type { HeldVoices } from "./held-voices.ts";
import type { JoulesGate } from "./joules/joules-gate.ts";
import { DEADLINES, type Step, type Work } from "./planner.ts";
import { demoted, promoted } from "./pointer.ts";
import type { VoiceAt } from "./speaker/messages.ts";
import type { SpeakerProcess } from "./speaker/speaker-process.ts";
import type { DeviceState } from "./state.ts";
import { runTrial } from "./trial.ts";

export interface ExecutorOptions {
	fleet: string;
	device: string;
	trust: Trust;
	state: DeviceState;
	speaker: SpeakerProcess;
	engines?: Engines | undefined;
	joules?: JoulesGate | undefined;
	voices: HeldVoices;
	threads: number;
	limits: Partial<GoldenLimits>;
	/** Last good voices kept beside the active one. */
	goodKept: number;
	/** A connection to the broker; waits for one. */
	link: (signal: AbortSignal) => Promise<Link>;
	clock: Clock;
	/** Bytes that may come; unlimited without. */
	budget?: Budget;
	onProgress: (done: number, total: number) => void;
	/** Told before blocks of a bundle are asked for again. */
	onAgain?: (again: Again) => void;
	/**
	 * Told when a step that was cut does not end, and why it was cut; and undefined once it has. Nothing else
	 * is begun meanwhile: what hangs in the system might still write later.
	 */
	onStuck: (why: WattvoxError | undefined) => void;
	/** In place of {@link DEADLINES}, ms. */
	deadlines?: Partial<Record<Work, number>> | undefined;
	/** A trial's figures, passed or not. */
	onTrial: (digest: string, result: GoldenResult) => void;
}

/** What a step that was cut has to end, ms. */
const STUCK_MS = 10_000;

/** Carries out one step; all deciding is the planner's. Each step can be done again after a crash. */
export class Executor {
	readonly #o: ExecutorOptions;

	constructor(options: ExecutorOptions) {
		this.#o = options;
	}

	/**
	 * Ends when the step has, or has been cut and has ended.
	 * @throws WattvoxError by what went wrong, E_TIMEOUT past the step's deadline, E_GOLDEN when the
	 *   golden sentences do not hold; the signal's reason
	 */
	async execute(step: Step, stop: AbortSignal): Promise<void> {
		// Waiting is the agent's: it also listens for news meanwhile.
		if (step.do === "rest" || step.do === "wait") return;
		const { clock, deadlines, onStuck } = this.#o;
		const limit = deadlines?.[step.do] ?? DEADLINES[step.do];
		const cut = new AbortController();
		const over = new AbortController();
		const onStop = () => cut.abort(stop.reason);
		if (stop.aborted) onStop();
		stop.addEventListener("abort", onStop, { once: true });
		let stuck = false;
		const watch = async () => {
			await clock.sleep(limit, over.signal);
			const why = new WattvoxError(
				"E_TIMEOUT",
				`the step "${step.do}" took more than ${limit / 1000} s`,
			);
			cut.abort(why);
			await clock.sleep(STUCK_MS, over.signal);
			stuck = true;
			onStuck(why);
		};
		watch().catch(() => undefined);
		try {
			await this.#do(step, cut.signal);
		} finally {
			over.abort();
			stop.removeEventListener("abort", onStop);
			if (stuck) onStuck(undefined);
		}
	}

	async #do(
		step: Extract<Step, { do: Work }>,
		signal: AbortSignal,
	): Promise<void> {
		signal.throwIfAborted();
		const { state, speaker, trust, goodKept } = this.#o;
		switch (step.do) {
			case "pull":
				await this.#pull(step.digest, step.store, signal);
				return;
			case "lay-out":
				await this.#layOut(step.digest, signal);
				return;
			case "try":
				await this.#try(step.digest, signal);
				return;
			case "activate": {
				await state.checkSigner(step.digest, trust);
				const before = await state.active();
				await state.setActive(
					promoted(before, step.digest, step.revision, goodKept),
				);
				return;
			}
			case "confirm": {
				const active = await state.active();
				if (active)
					await state.setActive({ ...active, revision: step.revision });
				return;
			}
			case "swap":
				await speaker.swap(this.#at(step.digest), signal);
				return;
			case "measure":
				await this.#o.joules?.measure(
					this.#at(step.digest),
					step.last === null ? null : this.#at(step.last),
					signal,
				);
				return;
			case "engine":
				await this.#o.engines?.prepare(await this.#of(step.digest), signal);
				return;
			case "look":
				// verified when it came, which may be long ago
				await this.#o.voices.check(step.digest);
				await this.#o.engines?.look(await this.#of(step.digest), signal);
				return;
			case "fall-back": {
				// verified when it came, which may be long ago
				await this.#o.voices.check(step.to);
				const active = await state.active();
				const rejected = await state.rejected();
				const revision = active?.revision ?? 1;
				rejected.set(step.from, { ...step.reason, revision });
				// The rejection first: after a crash in between, the pointer still follows.
				await state.setRejected(rejected);
				await state.setActive(
					active?.previous === step.to
						? demoted(active)
						: { digest: step.to, revision, previous: null },
				);
				speaker.forgive();
				// found wanting once, it is measured again if it is wished for again
				await this.#o.joules?.forget(step.from);
				return;
			}
			case "forget":
				await state.forget(step.digest);
				return;
			case "prune":
				for (const digest of step.digests) {
					signal.throwIfAborted();
					await state.removeVoice(digest);
				}
				await state.store.drop(step.digests);
				return;
			default:
				step satisfies never;
		}
	}

	async #of(voice: string): Promise<VoiceOfEngine> {
		const { state } = this.#o;
		const golden = await state.goldenPath(voice);
		return { voice, dir: state.voiceDir(voice), golden };
	}

	/** A laid-out voice, with its engine where that is ready. */
	#at(digest: string): VoiceAt {
		const engine = this.#o.engines?.ready(digest);
		const dir = this.#o.state.voiceDir(digest);
		return { digest, dir, ...(engine && { engine }) };
	}

	async #pull(
		digest: string,
		store: string,
		signal: AbortSignal,
	): Promise<void> {
		const { fleet, device, trust, state, onProgress, onAgain, clock } = this.#o;
		await pullBundle({
			link: await this.#o.link(signal),
			fleet,
			device,
			store,
			digest,
			into: state.store,
			trust,
			signal,
			onProgress,
			...(onAgain && { onAgain }),
			clock,
			busy: () => this.#o.speaker.speaking,
			...(this.#o.budget && { budget: this.#o.budget }),
		});
	}

	async #layOut(digest: string, signal: AbortSignal): Promise<void> {
		const { state, trust } = this.#o;
		try {
			const dir = state.voiceDir(digest);
			await state.store.checkout(digest, dir, trust, signal);
		} catch (thrown) {
			await state.removeVoice(digest);
			if (thrown instanceof WattvoxError && thrown.code === "E_TAMPERED")
				// It was whole when it came, so this disk changed it: fetch those blocks again.
				await state.dropDamaged(digest);
			throw thrown;
		}
	}

	async #try(digest: string, signal: AbortSignal): Promise<void> {
		const { state, threads, limits, onTrial, trust } = this.#o;
		await state.checkSigner(digest, trust);
		const dir = state.voiceDir(digest);
		const result = await runTrial(
			{ dir, golden: await state.goldenPath(digest), threads, limits },
			signal,
		);
		onTrial(digest, result);
		if (!result.passed)
			throw new WattvoxError("E_GOLDEN", result.problems.join("; "));
	}
}
