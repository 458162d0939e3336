import {
	asWattvoxError,
	type Clock,
	type Log,
	WattvoxError,
} from "@wattvox/core";
import {
	type BoardFacts,
	conditionsOf,
	Meter,
	measureSpeech,
	type PowerSource,
	type SpeechFigure,
	speechFigure,
} from "@wattvox/energy";
import type { Reason } from "../planner.ts";
import { type Runtime, runtimeOf, type VoiceAt } from "../speaker/messages.ts";
import { Figures, type Finding, runtimeText } from "./figures.ts";
import { type JoulesLimits, judge } from "./verdict.ts";
import { openWorkload, type Workload } from "./workload.ts";

/** How far the active voice's joules are. */
export type JoulesView =
	/** To be measured, not before this (monotonic ms). */
	| { state: "wanted"; at: number }
	/** It holds its limits, or could not be held to them. */
	| { state: "passed" }
	| { state: "failed"; reason: Reason };

export interface JoulesGateOptions {
	dataDir: string;
	/** The device's own; null: not open yet. */
	source: () => PowerSource | null;
	board: () => BoardFacts;
	/** Whether somebody is being spoken to. */
	speaking: () => boolean;
	/** What a bundle may draw: as the signed wish for it says, else as was given on the device. */
	limits: (bundle: string) => JoulesLimits;
	threads: number;
	tensorrt: string | null;
	clock: Clock;
	log: Log;
	/** Loads a voice to speak; another one only in tests. */
	open?: (voice: VoiceAt, signal: AbortSignal) => Promise<Workload>;
	/** Another one only in tests. */
	meter?: (source: PowerSource) => Meter;
}

/** Measurements that were disturbed or failed, after which a voice passes as not measured. */
const TRIES = 5;
/** After a disturbed one, ms; twice as long after each. */
const WAIT_MS = 60_000;

/**
 * Holds the voice that speaks to the joules per second of speech of the last good one, on this device.
 *
 * INVARIANTS
 * - Only sensors count: without one every voice passes, and is said to be not measured.
 * - Speech goes first: an utterance that begins ends the measurement at once. It is tried again later,
 *   a few times, and then the voice passes as not measured.
 * - Two figures are compared only at the same power mode, temperature band, runtime and sensor. Where the
 *   last good voice has no such figure, it is measured too, right after.
 * - A voice that comes to speak by another runtime is measured anew.
 * - The workload runs in a child process, never in the speaker.
 */
export class JoulesGate {
	readonly #o: JoulesGateOptions;
	readonly #figures: Figures;
	#measuring: AbortController | undefined;
	/** Of one voice by one runtime, since the agent started. */
	#tries = { of: "", count: 0, at: Number.NEGATIVE_INFINITY };

	constructor(options: JoulesGateOptions) {
		this.#o = options;
		this.#figures = new Figures(options.dataDir);
	}

	recall(): Promise<void> {
		return this.#figures.recall();
	}

	/**
	 * @param bundle that speaks
	 * @param runtime by which it does; null: it does not yet
	 */
	view(bundle: string, runtime: Runtime | null): JoulesView {
		const found = this.finding(bundle, runtime);
		if (!found)
			return { state: "wanted", at: this.#triesOf(bundle, runtime).at };
		return found.verdict === "failed"
			? {
					state: "failed",
					reason: { code: "E_JOULES", message: found.why },
				}
			: { state: "passed" };
	}

	/** What was found of a voice by a runtime, or by any; undefined: not measured yet. */
	finding(bundle: string, runtime: Runtime | null): Finding | undefined {
		const not = (why: string): Finding => ({
			...{ bundle, verdict: "not-measured", figure: null },
			why: `not measured: ${why}`,
		});
		if (!this.#o.source()?.describe().measured)
			return not("this device has no power sensor");
		const found = this.#figures.finding(bundle, runtime);
		if (found) return found;
		const { count } = this.#triesOf(bundle, runtime);
		return count < TRIES
			? undefined
			: not(`${count} attempts were disturbed or failed`);
	}

	/** Somebody is spoken to: whatever is being measured is given up. */
	disturb(): void {
		this.#measuring?.abort(
			new WattvoxError("E_BUSY", "speech was asked for meanwhile"),
		);
	}

	/** A voice was given up, or is wished for again. @throws WattvoxError E_OUTPUT, E_DISK_FULL */
	async forget(bundle: string): Promise<void> {
		await this.#figures.forget(bundle);
	}

	/**
	 * Measures a voice, and the last good one where that is needed, and keeps what was found. A measurement
	 * that fails or is disturbed is none. A voice without an engine is compared with the last good one
	 * without its own.
	 * @throws the signal's reason
	 */
	async measure(
		voice: VoiceAt,
		before: VoiceAt | null,
		signal: AbortSignal,
	): Promise<void> {
		const { log } = this.#o;
		const bundle = voice.digest;
		const runtime = runtimeOf(voice.engine?.id ?? null);
		const measuring = new AbortController();
		this.#measuring = measuring;
		const either = AbortSignal.any([signal, measuring.signal]);
		try {
			if (this.#o.speaking()) this.disturb();
			const figure = await this.#figureOf(voice, either);
			const last =
				before &&
				(this.#figures.under(before.digest, figure) ??
					(await this.#figureOf(likeWith(before, voice), either)));
			const verdict = judge(figure, last ?? undefined, this.#o.limits(bundle));
			await this.#figures.found({ bundle, ...verdict, figure }, runtime);
			log.info({ bundle, ...verdict }, "joules per second of speech");
		} catch (thrown) {
			signal.throwIfAborted();
			this.failed(bundle, runtime, asWattvoxError(thrown));
		} finally {
			this.#measuring = undefined;
		}
	}

	/** It is tried again later, a few times. */
	failed(
		bundle: string,
		runtime: Runtime | null,
		{ code, message }: WattvoxError,
	): void {
		const tries = this.#triesOf(bundle, runtime);
		tries.at = this.#o.clock.monotonic() + WAIT_MS * 2 ** tries.count;
		tries.count++;
		this.#o.log.info(
			{ bundle, code },
			`its joules were not measured: ${message}`,
		);
	}

	async #figureOf(voice: VoiceAt, signal: AbortSignal): Promise<SpeechFigure> {
		const { source: sourceOf, threads, tensorrt, clock } = this.#o;
		const source = sourceOf();
		if (!source) throw new WattvoxError("E_SENSOR", "there is no sensor");
		signal.throwIfAborted();
		const open =
			this.#o.open ??
			((at, until) => openWorkload({ voice: at, threads, tensorrt }, until));
		const workload = await open(voice, signal);
		const meter = this.#o.meter?.(source) ?? new Meter(source);
		try {
			await meter.start();
			const before = conditionsOf(this.#o.board());
			const found = await measureSpeech(workload.speak, {
				...{ meter, signal, clock },
			});
			signal.throwIfAborted();
			const after = conditionsOf(this.#o.board());
			if (before.powerMode !== after.powerMode)
				throw new WattvoxError(
					"E_BUSY",
					`the power mode changed from ${before.powerMode} to ${after.powerMode}`,
				);
			const runtime = runtimeText(workload.runtime, threads);
			const figure = speechFigure(found, {
				...after,
				runtime,
				at: new Date(clock.wall()).toISOString(),
			});
			if (!figure)
				throw new WattvoxError("E_SENSOR", "the sensor did not cover the run");
			await this.#figures.measured(voice.digest, figure);
			return figure;
		} finally {
			workload.close();
			await meter.stop();
		}
	}

	#triesOf(bundle: string, runtime: Runtime | null) {
		const of = `${bundle} ${runtime}`;
		if (this.#tries.of !== of)
			this.#tries = { of, count: 0, at: Number.NEGATIVE_INFINITY };
		return this.#tries;
	}
}

/** A voice as it is to be measured beside another: without its engine where that has none. */
function likeWith({ engine, ...plain }: VoiceAt, other: VoiceAt): VoiceAt {
	return other.engine && engine ? { ...plain, engine } : plain;
}
