import { WattvoxError } from "@wattvox/core";
import type { AgentOptions } from "./options.ts";
import { GOOD_KEPT, GOOD_MOST } from "./pointer.ts";

/** Beside the active voice, unless told otherwise. */
const ASIDE = { places: 2, bytes: 160e6 };

/**
 * How many voices may be held, and how many and how much of them loaded.
 * @throws WattvoxError E_USAGE
 */
export function checkVoiceBounds(
	o: Pick<AgentOptions, "goodKept" | "maxLoaded" | "asideBytes">,
): { goodKept: number; aside: { places: number; bytes: number } } {
	const { goodKept = GOOD_KEPT, asideBytes: bytes = ASIDE.bytes } = o;
	const { maxLoaded = ASIDE.places + 1 } = o;
	const whole = (n: number, most: number) =>
		Number.isInteger(n) && n >= 1 && n <= most;
	if (!whole(goodKept, GOOD_MOST))
		throw new WattvoxError(
			"E_USAGE",
			`${goodKept} last good voices: 1 to ${GOOD_MOST} are kept`,
		);
	if (!whole(maxLoaded, 64))
		throw new WattvoxError(
			"E_USAGE",
			`${maxLoaded} voices in memory: 1 to 64 may be`,
		);
	if (!(bytes >= 0))
		throw new WattvoxError("E_USAGE", `${bytes} is no amount of memory`);
	return { goodKept, aside: { places: maxLoaded - 1, bytes } };
}
