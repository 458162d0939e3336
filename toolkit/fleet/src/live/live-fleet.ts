import {
	type Desired,
	decode,
	filter,
	parseTopic,
	type Reported,
	zDesired,
	zPresence,
	zReported,
} from "@wattvox/link";
import { z } from "zod";
import type { PowerFeed } from "../collector.ts";
import type { PowerPoint } from "../power/point.ts";
import { type State, whereabouts } from "./whereabouts.ts";

/** A device as it stands. Unknown is null, never 0. */
export interface LiveDevice {
	fleet: string;
	device: string;
	online: boolean | null;
	state: State;
	/** Why it is not where it should be; "" when it is. */
	why: string;
	reported: Reported | null;
	desired: { bundle: string; revision: number } | null;
	/** Between its last two power reports; null where unknown or long ago. */
	watts: number | null;
	/** Whether a sensor gave `watts`. */
	measured: boolean | null;
	/** Digest it speaks with. */
	voice: string | null;
	deviceClass: string | null;
	/** When something was last heard of it by this process, milliseconds. */
	heardAt: number;
}

/** The fleet in a few numbers. */
export interface LiveSummary {
	at: number;
	devices: number;
	online: number;
	byState: Record<State, number>;
	/** Sum over devices with a sensor; null where there is none. */
	watts: number | null;
	/** Sum over estimates; never added to the other. */
	estimatedWatts: number | null;
	/** Devices in `watts`. */
	measured: number;
	/** Devices whose power is known, measured or not. */
	powered: number;
}

export interface LiveFleetOptions {
	link: PowerFeed;
	fleet?: string;
	/** Devices that are kept in mind; of more nothing is shown. Default 50,000. */
	limit?: number;
	now?: () => number;
}

interface Entry {
	fleet: string;
	device: string;
	session: number;
	online: boolean | null;
	reported: Reported | null;
	desired: { bundle: string; revision: number } | null;
	last: PowerPoint | null;
	watts: number | null;
	heardAt: number;
	powerAt: number;
}

/** A report each minute is usual: after three without one the power is unknown. */
const POWER_FRESH_MS = 180_000;

const zSignedDesired = z.object({ signed: z.string() });

/**
 * What devices say of themselves, kept in memory: presence and reported states are retained by the
 * broker and come again. Nothing here decides anything; a device checks its own signatures.
 */
export class LiveFleet {
	readonly #o: LiveFleetOptions;
	readonly #now: () => number;
	readonly #devices = new Map<string, Entry>();
	readonly #offs: (() => Promise<void>)[] = [];
	/** Rises with every change. */
	version = 0;
	/** Messages that were none, and devices over the limit. */
	ignored = 0;

	constructor(options: LiveFleetOptions) {
		this.#o = options;
		this.#now = options.now ?? Date.now;
	}

	/**
	 * @param kinds what to listen to; not every account may read everything
	 * @throws WattvoxError E_BROKER, E_DENIED; the signal's reason
	 */
	async start(
		signal?: AbortSignal,
		kinds: readonly ("presence" | "reported" | "desired")[] = [
			"presence",
			"reported",
			"desired",
		],
	): Promise<void> {
		if (this.#offs.length > 0) return;
		const { link, fleet } = this.#o;
		for (const kind of kinds)
			this.#offs.push(
				await link.subscribe(
					filter(kind, fleet),
					(topic, payload) => this.#heard(topic, payload),
					signal,
				),
			);
	}

	/** Idempotent. */
	async stop(): Promise<void> {
		for (const off of this.#offs.splice(0)) await off();
	}

	/** A power report, from the collector. */
	point(point: PowerPoint, received: number): void {
		const entry = this.#entry(point.fleet, point.device);
		if (!entry) return;
		const { last } = entry;
		entry.heardAt = received;
		if (last?.boot === point.boot && last.sensor === point.sensor) {
			if (point.sequence <= last.sequence) return;
			const seconds = (point.at - last.at) / 1000;
			if (seconds > 0)
				entry.watts =
					point.millijoules === null || last.millijoules === null
						? null
						: Math.max(0, point.millijoules - last.millijoules) /
							1000 /
							seconds;
		} else if (last && point.at < last.at) return;
		else entry.watts = null;
		entry.last = point;
		entry.powerAt = received;
		this.version++;
	}

	/** All devices, by name. */
	devices(): LiveDevice[] {
		return [...this.#devices.values()]
			.sort((a, b) => compare(a.device, b.device) || compare(a.fleet, b.fleet))
			.map((entry) => this.#show(entry));
	}

	device(fleet: string, device: string): LiveDevice | undefined {
		const entry = this.#devices.get(`${fleet}/${device}`);
		return entry && this.#show(entry);
	}

	summary(): LiveSummary {
		const byState = { good: 0, busy: 0, wrong: 0, none: 0 };
		const sums = { measured: 0, estimated: 0 };
		const of = { measured: 0, estimated: 0 };
		let online = 0;
		const devices = this.devices();
		for (const d of devices) {
			byState[d.state]++;
			if (d.online) online++;
			if (d.watts === null) continue;
			const kind = d.measured ? "measured" : "estimated";
			sums[kind] += d.watts;
			of[kind]++;
		}
		return {
			at: this.#now(),
			devices: devices.length,
			online,
			byState,
			watts: of.measured > 0 ? sums.measured : null,
			estimatedWatts: of.estimated > 0 ? sums.estimated : null,
			measured: of.measured,
			powered: of.measured + of.estimated,
		};
	}

	#show(entry: Entry): LiveDevice {
		const { last, session: _, powerAt, ...rest } = entry;
		const fresh = this.#now() - powerAt < POWER_FRESH_MS;
		return {
			...rest,
			...whereabouts(entry),
			watts: fresh ? entry.watts : null,
			measured: last?.measured ?? null,
			voice: entry.reported?.bundle ?? last?.voice ?? null,
			deviceClass: last?.deviceClass ?? entry.reported?.deviceClass ?? null,
		};
	}

	#heard(topic: string, payload: Buffer): void {
		const to = parseTopic(topic);
		const entry = to && this.#entry(to.fleet, to.device);
		if (!entry) return;
		switch (to.kind) {
			case "presence": {
				const presence = decode(zPresence, payload);
				// a late will of an earlier connection must not hide the newer one
				if (!presence || presence.session < entry.session) return;
				entry.session = presence.session;
				entry.online = presence.online;
				break;
			}
			case "reported":
				entry.reported = decode(zReported, payload) ?? entry.reported;
				break;
			case "desired": {
				const desired = readable(payload);
				if (!desired || desired.revision < (entry.desired?.revision ?? 0))
					return;
				const { bundle, revision } = desired;
				entry.desired = { bundle, revision };
				break;
			}
			default:
				return;
		}
		if (to.kind !== "desired") entry.heardAt = this.#now();
		this.version++;
	}

	#entry(fleet: string, device: string): Entry | undefined {
		const key = `${fleet}/${device}`;
		const known = this.#devices.get(key);
		if (known) return known;
		if (this.#devices.size >= (this.#o.limit ?? 50_000)) {
			this.ignored++;
			return undefined;
		}
		const entry: Entry = {
			...{ fleet, device, session: 0, online: null, reported: null },
			...{ desired: null, last: null, watts: null, heardAt: 0, powerAt: 0 },
		};
		this.#devices.set(key, entry);
		return entry;
	}
}

/** A desired state for show: who signed it is for the device to judge. */
function readable(payload: Buffer): Desired | undefined {
	const envelope = decode(zSignedDesired, payload);
	return envelope && decode(zDesired, Buffer.from(envelope.signed));
}

function compare(a: string, b: string): number {
	return a < b ? -1 : a > b ? 1 : 0;
}
