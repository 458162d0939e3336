import {
	JOULES_RATIO,
	type SpeechFigure,
	speechConditions,
	speechRatio,
} from "@wattvox/energy";

/** What a voice may draw. */
export interface JoulesLimits {
	/** Over the last good voice's on this device. Default {@link JOULES_RATIO}. */
	joulesRatio?: number | undefined;
	/** Gross joules per second of speech; no limit by default. */
	joulesPerSecond?: number | undefined;
}

/** What came of holding a voice to its limits. */
export interface Verdict {
	/** "not-measured" and "not-compared" pass. */
	verdict: "passed" | "failed" | "not-measured" | "not-compared";
	/** In words, with the figures. */
	why: string;
}

/**
 * Holds a voice to its limits. It fails only when the whole 95 % interval lies beyond one: a difference
 * within the uncertainty is none. Pure.
 * @param now measured by a sensor
 * @param before the last good voice's; undefined: there is none
 */
export function judge(
	now: SpeechFigure,
	before: SpeechFigure | undefined,
	{ joulesRatio = JOULES_RATIO, joulesPerSecond }: JoulesLimits,
): Verdict {
	const { value, plusMinus } = now.gross;
	const said = `${joules(value)} ± ${plusMinus === null ? "unknown" : joules(plusMinus)} J per second of speech`;
	if (
		joulesPerSecond !== undefined &&
		plusMinus !== null &&
		value - plusMinus > joulesPerSecond
	)
		return {
			verdict: "failed",
			why: `${said}; ${joulesPerSecond} are allowed`,
		};
	const not = (why: string): Verdict => ({
		verdict: "not-compared",
		why: `${said}; not compared: ${why}`,
	});
	if (!before) return not("there is no good voice before it");
	const [mine, theirs] = [speechConditions(now), speechConditions(before)];
	if (mine === null || theirs === null)
		return not("power mode or temperature is unknown");
	if (mine !== theirs)
		return not(
			`the last good voice was measured at ${theirs}, this at ${mine}`,
		);
	const ratio = speechRatio(now, before);
	if (!ratio) return not("an uncertainty is unknown");
	return {
		verdict: ratio.low > joulesRatio ? "failed" : "passed",
		why:
			`${said}, ${percent(ratio.value)} (95 %: ${percent(ratio.low)} to ${percent(ratio.high)}) ` +
			`against the last good voice at ${mine}; ${percent(joulesRatio)} is allowed`,
	};
}

function joules(value: number): string {
	return value.toPrecision(3);
}

function percent(ratio: number): string {
	const value = (ratio - 1) * 100;
	return `${value < 0 ? "-" : "+"}${Math.abs(value).toFixed(1)} %`;
}
