import type { GateResult } from "./gates.ts";
import type { RolloutState } from "./spec.ts";

/** A rollout as people see it. */
export interface RolloutView {
	id: string;
	bundle: string;
	status: RolloutState["status"];
	/** Why it does not go on, or what it waits for; "" otherwise. */
	why: string;
	/** From 1; of how many. */
	wave: number;
	waves: number;
	counts: { waiting: number; offered: number; good: number; failed: number };
	/** Of every wave that was judged. */
	gates: GateResult[];
	/** Devices that are not where they should be, at most 50. */
	trouble: { device: string; why: string }[];
	/** ISO 8601. */
	startedAt: string;
	updatedAt: string;
}

const MOST = 50;

export function rolloutView(state: RolloutState): RolloutView {
	const { spec, status, why, wave, gates, devices } = state;
	const counts = { waiting: 0, offered: 0, good: 0, failed: 0 };
	for (const progress of Object.values(devices)) counts[progress.status]++;
	return {
		...{ id: spec.id, bundle: spec.bundle, status, why, gates, counts },
		...{ wave: wave + 1, waves: spec.waves.length },
		trouble: Object.entries(devices)
			.filter(([, p]) => p.status === "failed")
			.slice(0, MOST)
			.map(([device, p]) => ({ device, why: p.why })),
		startedAt: new Date(state.startedAt).toISOString(),
		updatedAt: new Date(state.updatedAt).toISOString(),
	};
}
