import type { LiveFleet, LiveSummary } from "../live/live-fleet.ts";
import type { PowerStore } from "../power/store.ts";
import { type PowerTable, powerTable, rowOf } from "../power-table.ts";

/** What the dashboard's first page shows. */
export interface Overview {
	now: LiveSummary;
	/** ISO 8601. */
	since: string;
	/** By hour for spans up to two days, else by day. */
	byTime: PowerTable;
	byVoice: PowerTable;
	byClass: PowerTable;
	/** One line per voice and class. */
	byVoiceAndClass: PowerTable["rows"];
	today: PowerTable["total"];
}

const DAY = 86_400_000;

/** @param since milliseconds @throws WattvoxError E_STORE; the signal's reason */
export async function overview(
	store: Pick<PowerStore, "usage">,
	live: LiveFleet,
	asked: { since: number; now: number; fleet?: string },
): Promise<Overview> {
	const { now, fleet } = asked;
	const long = now - asked.since > 2 * DAY;
	// a day that is cut in half looks like one on which little was said
	const since = long ? asked.since - (asked.since % DAY) : asked.since;
	const only = fleet === undefined ? {} : { fleet };
	const span = { since, ...only };
	const byTime = await powerTable(store, {
		...span,
		by: long ? "day" : "hour",
	});
	const today = await powerTable(store, {
		...{ since: now - (now % DAY), by: "fleet", ...only },
	});
	const both = await store.usage({ ...span, by: ["voice", "class"] });
	return {
		now: live.summary(),
		since: new Date(since).toISOString(),
		byTime,
		byVoice: await powerTable(store, { ...span, by: "voice" }),
		byClass: await powerTable(store, { ...span, by: "class" }),
		byVoiceAndClass: both.rows.map((row) => rowOf(row, "voice")),
		today: today.total,
	};
}
