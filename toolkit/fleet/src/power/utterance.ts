import type { Lost, UtteranceRecord, UtterancesMessage } from "@wattvox/link";
import { plausibleTime } from "./point.ts";

/** One utterance of a fleet; (fleet, device, boot, n) names it. Unknown is null, never 0. */
export interface UtterancePoint
	extends Omit<UtteranceRecord, "at" | "millijoules"> {
	fleet: string;
	device: string;
	/** What kind of device it is; null: it does not say. */
	deviceClass: string | null;
	/** When it ended, milliseconds since 1970; see {@link plausibleTime}. */
	at: number;
	/** Whole millijoules: a share of busy time, the machine's idle power included. */
	millijoules: number | null;
}

/** What one backlog of a device had to give up; every count only rises. */
export interface DeviceLoss {
	fleet: string;
	device: string;
	log: string;
	lost: Lost;
}

/** What comes into the store at once. */
export interface UtteranceBatch {
	utterances: readonly UtterancePoint[];
	losses: readonly DeviceLoss[];
}

export interface UtteranceQuery {
	fleet?: string;
	device?: string;
	/** From when, milliseconds since 1970. Default: everything that is kept. */
	since?: number;
	/** At most so many, the newest. Default 100, 10 000 at most. */
	limit?: number;
	signal?: AbortSignal;
}

export interface UtteranceAnswer {
	/** The newest first. */
	rows: UtterancePoint[];
	/** What devices had to give up, in all their lives: of those asked for. */
	lost: Lost;
}

/** Utterances and losses of a message. @param fleet from the topic @param received milliseconds */
export function toUtterances(
	{ device, deviceClass, log, lost, records }: UtterancesMessage,
	fleet: string,
	received: number,
): UtteranceBatch {
	return {
		utterances: records.map((record) => ({
			...record,
			...{ fleet, device, deviceClass: deviceClass ?? null },
			millijoules:
				record.millijoules === null ? null : Math.round(record.millijoules),
			at: plausibleTime(Date.parse(record.at), received),
		})),
		losses: [{ fleet, device, log, lost }],
	};
}

/** What two counts of one backlog come to: each count only rises, whichever came first. */
export function mostLost(a: Lost, b: Lost): Lost {
	return {
		utterances: Math.max(a.utterances, b.utterances),
		readings: Math.max(a.readings, b.readings),
		boots: Math.max(a.boots, b.boots),
		damaged: Math.max(a.damaged, b.damaged),
	};
}
