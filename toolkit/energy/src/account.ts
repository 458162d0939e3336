import { between, type MeterPoint } from "./integrate.ts";
import type { Meter } from "./meter.ts";

/** What speaking has cost since the account was opened; every figure only rises. */
export interface SpeechTotals {
	utterances: number;
	/** Seconds of audio that came out. */
	audioSeconds: number;
	/** Seconds from request to last sample, overlapping utterances counted each. */
	computeSeconds: number;
	/** Whole millijoules since the account was opened, silence included; null: unknown. */
	millijoules: number | null;
	/**
	 * Whole millijoules of the time in which at least one utterance was being computed, idle power
	 * included; null: unknown.
	 */
	speechMillijoules: number | null;
	/** False when the millijoules are an estimate. */
	measured: boolean;
	sensor: string;
}

/**
 * Counts utterances and the energy of the time in which there was one: what a device publishes.
 * An utterance is shorter than most sensors' period, so its own joules are a share of busy time;
 * joules per second of speech are measured by {@link measureSpeech}.
 */
export class SpeechAccount {
	readonly #meter: Meter;
	readonly #totals = { utterances: 0, audioSeconds: 0, computeSeconds: 0 };
	#joules: number | null = null;
	/** Whole millijoules of {@link #joules} that are no utterance's share yet. */
	#unshared: number | null = null;
	#busy = 0;
	#since: MeterPoint | undefined;
	#opened: MeterPoint | undefined;
	#turn: Promise<void> = Promise.resolve();

	/** @param meter started by its owner */
	constructor(meter: Meter) {
		this.#meter = meter;
	}

	/** Takes the first reading: energy is counted from here. Idempotent. */
	async start(): Promise<void> {
		this.#opened ??= await this.#meter.point();
	}

	/** An utterance begins. Calls are booked in the order in which they are made. */
	begin(): Promise<void> {
		return this.#next(async () => {
			if (this.#busy++ === 0) this.#since = await this.#meter.point();
		});
	}

	/**
	 * The utterance that began ends.
	 * @param spoken undefined: it made no sound; then only its energy is booked
	 * @returns its share of `speechMillijoules`: whole millijoules of the busy time since another one ended,
	 *   or since it began; null: unknown. All shares add up to the total
	 */
	end(
		spoken?: Pick<SpeechTotals, "audioSeconds" | "computeSeconds">,
	): Promise<number | null> {
		return this.#next(async () => {
			this.#busy--;
			if (spoken) {
				this.#totals.utterances++;
				this.#totals.audioSeconds += spoken.audioSeconds;
				this.#totals.computeSeconds += spoken.computeSeconds;
			}
			await this.#book();
			const share = this.#unshared;
			this.#unshared = null;
			return share;
		});
	}

	/**
	 * Books everything up to now, between what was called before and after it.
	 * @param cut told the totals at that very point: a sum that is divided there loses nothing
	 */
	settle(cut: (totals: SpeechTotals) => void): Promise<void> {
		return this.#next(async () => {
			if (this.#busy > 0) await this.#book();
			else await this.#meter.point();
			cut(this.totals());
		});
	}

	/** Runs one utterance and books it, unless it throws: then only its energy is booked. */
	async utterance<T extends { audioSeconds: number }>(
		speak: () => Promise<T>,
	): Promise<T> {
		await this.begin();
		const begin = performance.now();
		let spoken: Parameters<SpeechAccount["end"]>[0];
		try {
			const made = await speak();
			spoken = {
				audioSeconds: made.audioSeconds,
				computeSeconds: (performance.now() - begin) / 1000,
			};
			return made;
		} finally {
			await this.end(spoken);
		}
	}

	totals(): SpeechTotals {
		const { measured, sensor } = this.#meter.describe();
		const all = this.#opened && between(this.#opened, this.#meter.latest);
		return {
			...this.#totals,
			millijoules: whole(all?.joules ?? null),
			speechMillijoules: whole(this.#joules),
			measured,
			sensor,
		};
	}

	/** Speech is booked from when the first utterance begins to when the last one ends. */
	async #book(): Promise<void> {
		const now = await this.#meter.point();
		const joules = this.#since && between(this.#since, now).joules;
		this.#since = now;
		if (joules == null) return;
		const before = Math.round((this.#joules ?? 0) * 1000);
		this.#joules = (this.#joules ?? 0) + joules;
		// Of the rounded totals, so that shares add up to what is published.
		const share = Math.round(this.#joules * 1000) - before;
		this.#unshared = (this.#unshared ?? 0) + share;
	}

	#next<T>(work: () => Promise<T>): Promise<T> {
		const turn = this.#turn.then(work);
		this.#turn = turn.then(
			() => undefined,
			() => undefined,
		);
		return turn;
	}
}

function whole(joules: number | null): number | null {
	return joules === null ? null : Math.round(joules * 1000);
}
