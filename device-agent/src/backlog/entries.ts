import {
	type Lost,
	type PowerMessage,
	type UtteranceRecord,
	zPowerMessage,
	zUtterance,
} from "@wattvox/link";
import { z } from "zod";

/** What may wait for a broker. */
export const zEntry = z.union([
	z.object({ stream: z.literal("power"), body: zPowerMessage }),
	z.object({ stream: z.literal("utterance"), body: zUtterance }),
]);
export type Entry =
	| { stream: "power"; body: PowerMessage }
	| { stream: "utterance"; body: UtteranceRecord };
export type Stream = Entry["stream"];

/** Boots whose last word may wait: a device that crashes for weeks fills no disk. */
export const BOOTS_KEPT = 64;

export const NOTHING_LOST: Lost = {
	utterances: 0,
	readings: 0,
	boots: 0,
	damaged: 0,
};

/** Whether `newer` says all that `older` does, to the minute: readings are cumulative since their boot. */
export function supersedes(newer: Entry, older: Entry): boolean {
	return (
		newer.stream === "power" &&
		older.stream === "power" &&
		newer.body.boot === older.body.boot &&
		newer.body.sequence >= older.body.sequence &&
		minute(newer) === minute(older)
	);
}

/**
 * What goes when there is no room: every second utterance and every second reading of the older half,
 * so that detail fades with age. The last reading of a boot stays, for it holds all before it; of more
 * than {@link BOOTS_KEPT} boots the oldest go whole. Pure.
 * @param entries oldest first
 * @returns what goes; empty only where nothing but last readings is left
 */
export function thinnable(entries: readonly Entry[]): {
	gone: Set<Entry>;
	lost: Lost;
} {
	const last = lastWords(entries);
	const doomed = new Set([...last.keys()].slice(0, -BOOTS_KEPT));
	const spared = new Set([...last.values()]);
	const gone = new Set<Entry>();
	const lost = { ...NOTHING_LOST, boots: doomed.size };
	const drop = (entry: Entry) => {
		gone.add(entry);
		if (entry.stream === "utterance") lost.utterances++;
		else if (!spared.has(entry)) lost.readings++;
	};
	for (const entry of entries)
		if (entry.stream === "power" && doomed.has(entry.body.boot)) drop(entry);
	const rest = entries.filter((e) => !gone.has(e) && !spared.has(e));
	const seen = { power: 0, utterance: 0 };
	for (const entry of rest.slice(0, Math.ceil(rest.length / 2)))
		if (seen[entry.stream]++ % 2 === 0) drop(entry);
	return { gone, lost };
}

/** The reading of each boot with the highest sequence; boots in the order in which those stand. */
function lastWords(entries: readonly Entry[]): Map<string, Entry> {
	const last = new Map<string, Entry & { stream: "power" }>();
	for (const entry of entries) {
		if (entry.stream !== "power") continue;
		const { boot, sequence } = entry.body;
		if (sequence < (last.get(boot)?.body.sequence ?? 0)) continue;
		last.delete(boot);
		last.set(boot, entry);
	}
	return last;
}

export function addLost(a: Lost, b: Lost): Lost {
	return {
		utterances: a.utterances + b.utterances,
		readings: a.readings + b.readings,
		boots: a.boots + b.boots,
		damaged: a.damaged + b.damaged,
	};
}

function minute({ body }: Entry): number {
	return Math.floor(Date.parse(body.at) / 60_000);
}
