import type { UtteranceStats } from "@wattvox/synth";
import { rows } from "./exposition.ts";
import type { Played } from "./playback.ts";
import type { ListedVoice } from "./voice-choice.ts";
import { VoiceCounters } from "./voice-counters.ts";
import type { VoiceShelf } from "./voice-shelf.ts";

/** What a speaker has done since it started, as `/healthz` and `/metrics` tell it. */
export class Counters {
	#utterances = 0;
	#audioSeconds = 0;
	#computeSeconds = 0;
	#played = 0;
	#playedSeconds = 0;
	#underruns = 0;
	#drySeconds = 0;
	#refused = 0;
	#failed = 0;

	readonly #voices = new VoiceCounters();

	/**
	 * An utterance has ended.
	 * @param whole false: it was broken off
	 * @param bundle the digest of the voice that spoke it
	 */
	spoke(stats: UtteranceStats, whole: boolean, bundle: string): void {
		this.#voices.spoke(bundle, stats, whole);
		if (whole) this.#utterances++;
		this.#audioSeconds += stats.audioSeconds;
		this.#computeSeconds += stats.computeMs / 1000;
	}

	/** An utterance was played here to its end. */
	played({ seconds, underruns, drySeconds }: Played): void {
		this.#played++;
		this.#playedSeconds += seconds;
		this.#underruns += underruns;
		this.#drySeconds += drySeconds;
	}

	/** A request of the API was answered. */
	answered(status: number): void {
		if (status === 429) this.#refused++;
		if (status >= 500) this.#failed++;
	}

	/** For `/healthz`. */
	get health() {
		return {
			utterances: this.#utterances,
			audioSeconds: this.#audioSeconds,
			computeSeconds: this.#computeSeconds,
			played: this.#played,
			underruns: this.#underruns,
		};
	}

	/** Prometheus' text format. */
	metrics(now: {
		waiting: number;
		loaded: boolean;
		voices: readonly ListedVoice[];
		shelf: VoiceShelf | undefined;
	}): string {
		const all: [
			name: string,
			kind: "counter" | "gauge",
			help: string,
			value: number,
		][] = [
			[
				"utterances_total",
				"counter",
				"Utterances spoken whole",
				this.#utterances,
			],
			["audio_seconds_total", "counter", "Sound made", this.#audioSeconds],
			[
				"compute_seconds_total",
				"counter",
				"Time to make it",
				this.#computeSeconds,
			],
			["played_total", "counter", "Utterances played here whole", this.#played],
			[
				"played_seconds_total",
				"counter",
				"Sound played here",
				this.#playedSeconds,
			],
			[
				"underruns_total",
				"counter",
				"Times a player had nothing to play before the end",
				this.#underruns,
			],
			[
				"dry_seconds_total",
				"counter",
				"How long players had nothing to play",
				this.#drySeconds,
			],
			[
				"refused_total",
				"counter",
				"Requests beyond the queue (429)",
				this.#refused,
			],
			[
				"failed_total",
				"counter",
				"Requests that failed here (5xx)",
				this.#failed,
			],
			["waiting", "gauge", "Requests that wait", now.waiting],
			["voice_loaded", "gauge", "Whether a voice speaks", now.loaded ? 1 : 0],
		];
		const device = all.map(([name, kind, help, value]) =>
			rows(name, kind, help, [{ value }]),
		);
		return device.join("") + this.#voices.metrics(now.voices, now.shelf);
	}
}
