import type { UtteranceStats } from "@wattvox/synth";
import type { Played } from "./playback.ts";

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

	/** An utterance has ended. @param whole false: it was broken off */
	spoke(stats: UtteranceStats, whole: boolean): void {
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
	metrics(now: { waiting: number; loaded: boolean }): string {
		const rows: [name: string, kind: string, help: string, value: number][] = [
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
		return rows
			.map(
				([name, kind, help, value]) =>
					`# HELP wattvox_${name} ${help}\n# TYPE wattvox_${name} ${kind}\nwattvox_${name} ${value}\n`,
			)
			.join("");
	}
}
