import type { PowerMessage } from "@wattvox/link";

/**
 * One report as the store takes it: whole numbers, cumulative since the boot began. Unknown is null,
 * never 0.
 */
export interface PowerPoint {
	fleet: string;
	device: string;
	boot: string;
	sensor: string;
	/** False: an estimate. */
	measured: boolean;
	/** Digest of the bundle that speaks; null: none. */
	voice: string | null;
	/** What kind of device it is; null: it does not say. */
	deviceClass: string | null;
	sequence: number;
	millijoules: number | null;
	speechMillijoules: number | null;
	utterances: number;
	audioMs: number;
	computeMs: number;
	/** When, milliseconds since 1970; see {@link plausibleTime}. */
	at: number;
}

/** More than any device draws in its life (30,000 years at 1 W); a count above it is no count. */
const MOST = 1e15;

/** Before it no device of ours existed: a clock that says so has not been set yet. */
const FIRST_DAY = Date.UTC(2020, 0, 1);

/**
 * A power message as a point.
 * @param fleet from the topic
 * @param received by this machine's clock, milliseconds
 * @returns undefined when a count is beyond all sense
 */
export function toPoint(
	message: PowerMessage,
	fleet: string,
	received: number,
): PowerPoint | undefined {
	const { device, boot, sensor, measured, voice, sequence } = message;
	const millijoules = whole(message.millijoules);
	const speechMillijoules = whole(message.speechMillijoules ?? null);
	const audioMs = Math.round(message.audioSeconds * 1000);
	const computeMs = Math.round(message.computeSeconds * 1000);
	const { utterances } = message;
	const counts = [millijoules, speechMillijoules, audioMs, computeMs];
	if ([...counts, utterances, sequence].some((n) => (n ?? 0) > MOST))
		return undefined;
	return {
		...{ fleet, device, boot, sensor, measured, voice },
		deviceClass: message.deviceClass ?? null,
		...{ sequence, millijoules, speechMillijoules, utterances },
		...{ audioMs, computeMs },
		at: plausibleTime(Date.parse(message.at), received),
	};
}

/**
 * The time a report is booked at: the device's own, since a report may have waited for days; this
 * machine's where the device's clock cannot be right, which is one that runs ahead or was never set.
 * A total never depends on it: only the minute, hour and day that a part of the total is booked in.
 */
export function plausibleTime(said: number, received: number): number {
	return said >= FIRST_DAY && said <= received ? said : received;
}

function whole(millijoules: number | null): number | null {
	return millijoules === null ? null : Math.round(millijoules);
}
