import type { UtteranceStats } from "@wattvox/synth";
import { type Row, rows } from "./exposition.ts";
import type { ListedVoice } from "./voice-choice.ts";
import type { VoiceShelf } from "./voice-shelf.ts";

interface Figures {
	utterances: number;
	audioSeconds: number;
	computeSeconds: number;
}

/** What each voice has spoken since the speaker started, for `/metrics`. */
export class VoiceCounters {
	/** By bundle. */
	readonly #figures = new Map<string, Figures>();

	/** An utterance has ended. @param whole false: it was broken off */
	spoke(bundle: string, stats: UtteranceStats, whole: boolean): void {
		const { utterances, audioSeconds, computeSeconds } = this.#of(bundle);
		this.#figures.set(bundle, {
			utterances: utterances + (whole ? 1 : 0),
			audioSeconds: audioSeconds + stats.audioSeconds,
			computeSeconds: computeSeconds + stats.computeMs / 1000,
		});
	}

	/**
	 * Prometheus' text format, for the voices there are. Figures of those that are gone are dropped: a device
	 * that is updated for years would collect them all.
	 */
	metrics(
		voices: readonly ListedVoice[],
		shelf: VoiceShelf | undefined,
	): string {
		const here = new Set(voices.map((v) => v.bundle));
		for (const bundle of this.#figures.keys())
			if (!here.has(bundle)) this.#figures.delete(bundle);
		const of = (value: (v: ListedVoice, figures: Figures) => number): Row[] =>
			voices.map((v) => ({
				labels: { voice: v.id, bundle: v.bundle },
				value: value(v, this.#of(v.bundle)),
			}));
		const one = (value: number): Row[] => [{ value }];
		const { loads, evictions } = shelf?.counts ?? { loads: 0, evictions: 0 };
		return [
			rows(
				"voice_utterances_total",
				"counter",
				"Utterances that a voice spoke whole",
				of((_, f) => f.utterances),
			),
			rows(
				"voice_audio_seconds_total",
				"counter",
				"Sound that a voice made",
				of((_, f) => f.audioSeconds),
			),
			rows(
				"voice_compute_seconds_total",
				"counter",
				"Time that a voice took to make it",
				of((_, f) => f.computeSeconds),
			),
			rows(
				"voice_active",
				"gauge",
				"Whether a voice speaks when none is asked for",
				of((v) => Number(v.active)),
			),
			rows(
				"voice_in_memory",
				"gauge",
				"Whether a voice is loaded",
				of((v) => Number(v.loaded)),
			),
			rows(
				"aside_loads_total",
				"counter",
				"Voices loaded beside the active one",
				one(loads),
			),
			rows(
				"aside_evictions_total",
				"counter",
				"Voices that had to go for others",
				one(evictions),
			),
			rows(
				"aside_waiting",
				"gauge",
				"Requests that wait for a voice to be loaded",
				one(shelf?.waiting ?? 0),
			),
		].join("");
	}

	#of(bundle: string): Figures {
		return (
			this.#figures.get(bundle) ?? {
				utterances: 0,
				audioSeconds: 0,
				computeSeconds: 0,
			}
		);
	}
}
