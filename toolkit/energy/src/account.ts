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

	/** Runs one utterance and books it, unless it throws: then only its energy is booked. */
	async utterance<T extends { audioSeconds: number }>(
		speak: () => Promise<T>,
	): Promise<T> {
		await this.#shift(1);
		const begin = performance.now();
		try {
			const spoken = await speak();
			this.#totals.utterances++;
			this.#totals.audioSeconds += spoken.audioSeconds;
			this.#totals.computeSeconds += (performance.now() - begin) / 1000;
			return spoken;
		} finally {
			await this.#shift(-1);
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

	/** Meter points are taken when the first utterance begins and when the last one ends. */
	#shift(by: 1 | -1): Promise<void> {
		const turn = this.#turn.then(async () => {
			if (this.#busy === 0) this.#since = await this.#meter.point();
			this.#busy += by;
			if (this.#busy > 0 || !this.#since) return;
			const { joules } = between(this.#since, await this.#meter.point());
			if (joules !== null) this.#joules = (this.#joules ?? 0) + joules;
		});
		this.#turn = turn;
		return turn;
	}
}

function whole(joules: number | null): number | null {
	return joules === null ? null : Math.round(joules * 1000);
}
