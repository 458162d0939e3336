import type { LiveDevice } from "../live/live-fleet.ts";

/** One page of the list of devices. */
export interface DeviceList {
	devices: LiveDevice[];
	/** How many there are that fit the question. */
	matching: number;
	offset: number;
}

const PAGE = 20;
/** What needs a look comes first. */
const ORDER = { wrong: 0, busy: 1, none: 2, good: 3 };

/** Devices that fit: `search` in the name, voice or reason, `state`, from `offset` on. */
export function listDevices(
	all: readonly LiveDevice[],
	query: Readonly<Record<string, string | undefined>>,
): DeviceList {
	const search = (query.search ?? "").toLowerCase();
	const fits = all.filter(
		(d) =>
			(!query.state || d.state === query.state) &&
			(search === "" ||
				[d.device, d.fleet, d.deviceClass, d.voice, d.why].some((text) =>
					text?.toLowerCase().includes(search),
				)),
	);
	fits.sort((a, b) => ORDER[a.state] - ORDER[b.state]);
	const asked = Number(query.offset ?? 0);
	const offset = Number.isSafeInteger(asked) && asked > 0 ? asked : 0;
	return {
		devices: fits.slice(offset, offset + PAGE),
		matching: fits.length,
		offset,
	};
}
