import { type Clock, systemClock } from "@wattvox/core";
import type { Link } from "@wattvox/link";
import { type LiveDevice, LiveFleet } from "../live/live-fleet.ts";

/** Retained messages come at once, one after the other: silence this long means that they are all here. */
const QUIET_MS = 1000;
const MOST_MS = 30_000;

/**
 * The devices of a fleet that the broker knows, by what it has retained of them.
 * @param fleet undefined: of every fleet
 * @param options.kinds what to listen to; the default is what every account may read that gives orders
 * @throws WattvoxError E_BROKER; the signal's reason
 */
export async function surveyFleet(
	link: Link,
	fleet: string | undefined,
	signal: AbortSignal,
	options: {
		clock?: Clock;
		kinds?: readonly ("presence" | "reported" | "desired")[];
	} = {},
): Promise<LiveDevice[]> {
	const { clock = systemClock, kinds = ["presence", "reported"] } = options;
	const live = new LiveFleet({
		link,
		...(fleet !== undefined && { fleet }),
		limit: Number.MAX_SAFE_INTEGER,
		now: () => clock.wall(),
	});
	await live.start(signal, kinds);
	try {
		const end = clock.monotonic() + MOST_MS;
		for (let seen = -1; seen !== live.version && clock.monotonic() < end; ) {
			seen = live.version;
			await clock.sleep(QUIET_MS, signal);
		}
		return live.devices();
	} finally {
		await live.stop();
	}
}
