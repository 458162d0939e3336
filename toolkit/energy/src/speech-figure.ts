import type { BoardFacts } from "./jetson/board.ts";
import { hottest } from "./jetson/board.ts";
import type { Figure } from "./ratio.ts";
import type { SpeechMeasurement } from "./workload.ts";

/**
 * Joules per second of speech of one voice on one device, from the fixed workload, and under what it was
 * measured. Devices hold their own voices to it, and rollouts compare devices by it; `zSpeechFigure` of
 * the link is its form on the wire and on disk.
 */
export interface SpeechFigure {
	/** All power while speaking back to back: what gates compare. */
	gross: Figure;
	/** Above the resting device. */
	marginal: Figure;
	/** Real-time factor. */
	pace: Figure;
	sensor: string;
	/** What computed it: "onnxruntime, 1 thread". */
	runtime: string;
	/** "MAXN_SUPER", or "none" where the machine has no modes; null: unknown. */
	powerMode: string | null;
	/** By the hottest zone after the run: see {@link temperatureBand}; null: unknown. */
	temperature: string | null;
	/** ISO 8601. */
	at: string;
}

/** Canary over control, or a voice over the one before it, that is still well: 10 % more. */
export const JOULES_RATIO = 1.1;

/** The figure of a measurement; undefined: the sensor did not cover it, or it is an estimate. */
export function speechFigure(
	found: SpeechMeasurement,
	about: Omit<SpeechFigure, "gross" | "marginal" | "pace" | "sensor">,
): SpeechFigure | undefined {
	const { joulesPerAudioSecond: joules, measured } = found;
	if (!joules || !measured || !(joules.gross.value > 0)) return undefined;
	return {
		...joules,
		pace: found.realTimeFactor,
		sensor: found.source.sensor,
		...about,
	};
}

/** Within a band of 20 degrees leakage moves a module's power by a few percent; between bands by more. */
export function temperatureBand(celsius: number | null): string | null {
	if (celsius === null) return null;
	const low = Math.floor(celsius / 20) * 20;
	return `${low} to ${low + 20} °C`;
}

/** Power mode and temperature band of a board as a figure has them. */
export function conditionsOf(
	board: BoardFacts,
): Pick<SpeechFigure, "powerMode" | "temperature"> {
	return {
		// a machine without NVIDIA's Linux has no modes; a Jetson that does not say may have changed its own
		powerMode: board.powerMode ?? (board.l4t === null ? "none" : null),
		temperature: temperatureBand(hottest(board)),
	};
}

/**
 * What figures must have in common to be compared, as one text.
 * @returns null: unknown, so not to be compared with any
 */
export function speechConditions(figure: SpeechFigure): string | null {
	const { powerMode, temperature, sensor, runtime } = figure;
	if (powerMode === null || temperature === null) return null;
	return `${powerMode}, ${temperature}, ${runtime}, ${sensor}`;
}

/** A ratio of two figures with its 95 % interval. */
export interface SpeechRatio {
	value: number;
	low: number;
	high: number;
}

/**
 * Gross joules per second of speech, `now` over `before`, by the propagation of relative errors:
 *
 *   r = a / b,  (dr / r)^2 = (da / a)^2 + (db / b)^2
 *
 * @returns undefined when an interval is unknown
 */
export function speechRatio(
	now: SpeechFigure,
	before: SpeechFigure,
): SpeechRatio | undefined {
	const [a, b] = [now.gross, before.gross];
	if (a.plusMinus === null || b.plusMinus === null) return undefined;
	const value = a.value / b.value;
	const reach =
		value * Math.hypot(a.plusMinus / a.value, b.plusMinus / b.value);
	return { value, low: value - reach, high: value + reach };
}
