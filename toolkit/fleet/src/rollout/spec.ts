import { createHash } from "node:crypto";
import { JOULES_RATIO } from "@wattvox/energy";
import type { GateResult } from "./gates.ts";

/** What a rollout is to do; fixed once it began. */
export interface RolloutSpec {
	id: string;
	fleet: string;
	/** Digest to bring everywhere. */
	bundle: string;
	/** Id of the store that has it. */
	store: string;
	/** Digest to go back to on `abort --back`; null: none. */
	previous: string | null;
	/** Null: every device of the fleet that is heard of, those that join later too. */
	devices: string[] | null;
	/** Only devices of these classes; null: of any. */
	classes: string[] | null;
	/** Shares of the devices that have been offered it by the end of each wave; rising, the last is 1. */
	waves: number[];
	/** From an offer on a device has this long to speak with it, milliseconds. */
	deadlineMs: number;
	/** How long a settled wave is watched before the next, milliseconds. */
	soakMs: number;
	/** A failed device is offered it so often in all, and again after so long. */
	tries: number;
	retryMs: number;
	/** Share of a wave that may fail. */
	maxFailed: number;
	/** Joules per second of speech, canary over control, that are still well: 1.1 is 10 % more. */
	maxRatio: number;
	/** Whether a wave without enough measured devices is held. */
	requireEnergy: boolean;
	/** Measured devices that each group needs, and seconds of speech that each needs. */
	leastDevices: number;
	leastAudioSeconds: number;
}

export const ROLLOUT_DEFAULTS: Omit<
	RolloutSpec,
	"id" | "fleet" | "bundle" | "store" | "previous" | "devices"
> = {
	waves: [0.02, 0.1, 0.5, 1],
	deadlineMs: 15 * 60_000,
	soakMs: 10 * 60_000,
	tries: 3,
	retryMs: 30 * 60_000,
	classes: null,
	maxFailed: 0.05,
	maxRatio: JOULES_RATIO,
	requireEnergy: false,
	leastDevices: 5,
	leastAudioSeconds: 10,
};

/** One device's way. */
export interface Progress {
	/** From 0. */
	wave: number;
	status: "waiting" | "offered" | "good" | "failed";
	/** Of its newest offer. */
	revision: number | null;
	tries: number;
	/** Of its newest offer, milliseconds. */
	deadline: number | null;
	/** Since when it is what `status` says, milliseconds. */
	since: number;
	/** Why it failed; "" otherwise. */
	why: string;
}

/** All there is to know of a rollout: what its file holds. */
export interface RolloutState {
	v: 1;
	spec: RolloutSpec;
	/** held: a gate said no; somebody has to resume or abort. */
	status: "running" | "paused" | "held" | "aborted" | "done";
	why: string;
	/** The newest wave that is offered, from 0. */
	wave: number;
	/** When every device of that wave was good or failed; null: not yet. */
	settledAt: number | null;
	/** Whether the next gate that says no is passed over: `resume --force`. */
	force: boolean;
	devices: Record<string, Progress>;
	gates: GateResult[];
	/** The highest revision given out. */
	revision: number;
	startedAt: number;
	updatedAt: number;
}

/**
 * A rollout's beginning: every device in its wave, in an order that is random but the same each time.
 * Each wave has one device at least while there are any.
 */
export function beginning(
	spec: RolloutSpec,
	devices: readonly string[],
	now: number,
): RolloutState {
	const rank = (device: string) =>
		createHash("sha256").update(`${spec.id}/${device}`).digest("hex");
	const order = [...new Set(devices)]
		.map((device) => ({ device, key: rank(device) }))
		.sort((a, b) => (a.key < b.key ? -1 : 1));
	const progress: Record<string, Progress> = {};
	order.forEach(({ device }, i) => {
		const wave = spec.waves.findIndex(
			(share, w) => i < Math.max(w + 1, Math.ceil(share * order.length)),
		);
		progress[device] = waiting(wave < 0 ? spec.waves.length - 1 : wave, now);
	});
	return {
		...{ v: 1, spec, status: "running", why: "", wave: 0, settledAt: null },
		...{ force: false, devices: progress, gates: [], revision: 0 },
		...{ startedAt: now, updatedAt: now },
	};
}

export function waiting(wave: number, now: number): Progress {
	return {
		...{ wave, status: "waiting", revision: null, tries: 0 },
		...{ deadline: null, since: now, why: "" },
	};
}
