import { asWattvoxError } from "@wattvox/core";
import type { Done } from "../board/shell.ts";
import type { Ended } from "./emulation.ts";

/** What was tried, and how it ended. */
export interface Tried {
	what: string;
	ok: boolean;
	found: string;
	seconds: number;
}

/** Tries one thing, and tells whether it ran. @param work gives what was found, in a line */
export type Attempt = (
	what: string,
	work: (limit: AbortSignal) => Promise<string>,
) => Promise<boolean>;

/**
 * One thing after the other, each tried whatever became of the one before.
 * @param ms the longest that one may take
 * @param say is told of each as it ends
 */
export function attempts(
	ms: number,
	say: (tried: Tried) => void,
	signal: AbortSignal,
): { all: Tried[]; attempt: Attempt } {
	const all: Tried[] = [];
	const attempt: Attempt = async (what, work) => {
		const begin = performance.now();
		const limit = AbortSignal.any([signal, AbortSignal.timeout(ms)]);
		let [ok, found] = [true, ""];
		try {
			found = await work(limit);
		} catch (thrown) {
			signal.throwIfAborted();
			[ok, found] = [false, asWattvoxError(thrown).message];
		}
		const seconds = (performance.now() - begin) / 1000;
		const tried: Tried = { what, ok, found, seconds };
		all.push(tried);
		say(tried);
		return ok;
	};
	return { all, attempt };
}

/** The end of what a program said. @throws Error when it failed, with how */
export function fine(ended: Ended | Done): string {
	const lines = ended.said.trim().split("\n");
	const last = lines.at(-1) ?? "";
	if (ended.code === 0)
		return lines.length > 3 ? `${lines.length} lines` : last;
	const by = "signal" in ended && ended.signal;
	const how = by ? `ended by ${by}` : `ended with ${ended.code}`;
	throw new Error([how, last].filter(Boolean).join(": "));
}
