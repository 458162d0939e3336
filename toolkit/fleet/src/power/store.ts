import type { PowerPoint } from "./point.ts";
import type {
	UtteranceAnswer,
	UtteranceBatch,
	UtteranceQuery,
} from "./utterance.ts";

/** Energy and speech whose joules are known in one way. */
export interface Share {
	joules: number;
	/** The part drawn while speaking, as far as it was told apart. */
	speechJoules: number;
	/** Seconds of audio that `speechJoules` stand for. */
	speechAudioSeconds: number;
}

export type Dimension = "fleet" | "device" | "voice" | "class";
export type Grain = "minute" | "hour" | "day";

/** Seconds in each. */
export const GRAIN_SECONDS: Readonly<Record<Grain, number>> = {
	minute: 60,
	hour: 3600,
	day: 86_400,
};

export interface UsageQuery {
	/**
	 * From when, milliseconds since 1970, rounded down to a minute, or to an hour or a day where the
	 * finer roll-up is no longer kept. Without it: everything ever heard.
	 */
	since?: number;
	/** Until when, exclusive, rounded up in the same way. Default: no end. */
	until?: number;
	/** What makes a line of its own. Default: one line for all. */
	by?: readonly Dimension[];
	/** One line per minute, hour or day (UTC) too. Needs `since`. */
	every?: Grain;
	/** Only this fleet. */
	fleet?: string;
	/** The sum of all lines too, as of the same moment. */
	total?: boolean;
	signal?: AbortSignal;
}

/** One line of an answer. Unknown is null, never 0. */
export interface Usage {
	/** Null: not asked for, or the device did not say. */
	fleet: string | null;
	device: string | null;
	voice: string | null;
	deviceClass: string | null;
	/** The start of its minute, hour or day, milliseconds; null: the whole span. */
	at: number | null;
	utterances: number;
	audioSeconds: number;
	computeSeconds: number;
	/** From sensors; null where none was heard of. */
	measured: Share | null;
	/** From estimates; never added to the measured ones. */
	estimated: Share | null;
	/** Devices that reported. */
	devices: number;
	/** Those of them whose every joule came from a sensor. */
	devicesMeasured: number;
}

export interface UsageAnswer {
	/** What `since` was rounded to; null: everything. */
	since: number | null;
	rows: Usage[];
	/** Where it was asked for, and there is a line. */
	total: Usage | null;
}

/** The newest that is known of a device, whatever the span. */
export interface DeviceSeen {
	fleet: string;
	device: string;
	/** Of its newest report. */
	voice: string | null;
	deviceClass: string | null;
	sensors: string[];
	/** Milliseconds. */
	firstAt: number;
	lastAt: number;
	boots: number;
}

/** How long roll-ups and single utterances are kept, days. Totals of all time are kept for good. */
export interface Retention {
	/** Default 2. */
	minutes: number;
	/** Default 100. */
	hours: number;
	/** Default 3660. */
	days: number;
	/** Utterances one by one. Default 7. */
	utterances: number;
}

export const RETENTION: Retention = {
	...{ minutes: 2, hours: 100, days: 3660 },
	utterances: 7,
};

/**
 * Where the reports of a fleet are added up.
 *
 * INVARIANTS
 * - What is written is merged by taking the larger of each cumulative count, per counter (a device's
 *   boot and sensor), voice and minute, hour or day. So writing is idempotent and commutative: no
 *   answer depends on how often, in what order or in how many batches reports came.
 * - The energy of a counter between two instants is the highest count with a time before the second,
 *   less that before the first. So spans that adjoin add up, and all time adds up to the last count.
 * - Measured and estimated joules are never in one sum.
 */
export interface PowerStore {
	/** Opens it and makes its tables. @throws WattvoxError E_BUSY, E_STORE; the signal's reason */
	start(signal?: AbortSignal): Promise<void>;
	/** Idempotent. */
	stop(): Promise<void>;
	/** Merges a batch, all of it or nothing. @throws WattvoxError E_STORE */
	write(points: readonly PowerPoint[]): Promise<void>;
	/** @throws WattvoxError E_USAGE, E_STORE; the signal's reason */
	usage(query?: UsageQuery): Promise<UsageAnswer>;
	/** Every device ever heard, by name. @throws WattvoxError E_STORE */
	devices(fleet?: string): Promise<DeviceSeen[]>;
	/**
	 * Takes utterances in, each once however often it comes, and what devices lost of them. No total is
	 * made of these. @throws WattvoxError E_STORE
	 */
	writeUtterances(batch: UtteranceBatch): Promise<void>;
	/** The newest utterances. @throws WattvoxError E_USAGE, E_STORE; the signal's reason */
	utterances(query?: UtteranceQuery): Promise<UtteranceAnswer>;
	/** Forgets roll-ups and utterances that are past their time. @param now milliseconds @throws WattvoxError E_STORE */
	retain(now: number): Promise<void>;
}
