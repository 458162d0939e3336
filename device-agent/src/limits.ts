import { WattvoxError } from "@wattvox/core";
import type { GoldenLimits } from "@wattvox/synth";
import type { JoulesLimits } from "./joules/verdict.ts";

/** The limits by their names on a command line. */
const NAMES = {
	"mel-distance": "melDistance",
	"length-difference": "lengthDifference",
	"real-time-factor": "realTimeFactor",
	"first-sound-ms": "firstSoundMs",
	underruns: "underruns",
	"joules-ratio": "joulesRatio",
	"joules-per-second": "joulesPerSecond",
} as const satisfies Record<string, keyof Limits>;

/** What a voice has to hold: while it is tried, and once it speaks. */
export type Limits = GoldenLimits & JoulesLimits;

/**
 * Limits as an operator writes them: `first-sound-ms=300`.
 * @throws WattvoxError E_USAGE
 */
export function parseLimits(texts: readonly string[]): Partial<Limits> {
	const limits: Partial<Limits> = {};
	for (const text of texts) {
		const [name = "", number = "", ...more] = text.split("=");
		const value = Number(number);
		if (!Object.hasOwn(NAMES, name) || more.length > 0)
			throw new WattvoxError(
				"E_USAGE",
				`--limit ${text} is not NAME=NUMBER with one of ${Object.keys(NAMES).join(", ")}`,
			);
		if (number.trim() === "" || !(value >= 0 && Number.isFinite(value)))
			throw new WattvoxError(
				"E_USAGE",
				`--limit ${text}: a limit is a number of 0 or more`,
			);
		limits[NAMES[name as keyof typeof NAMES]] = value;
	}
	return limits;
}
