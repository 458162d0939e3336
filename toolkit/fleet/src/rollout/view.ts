import type { GateResult } from "./gates.ts";
import type { RolloutState } from "./spec.ts";

/** A rollout as people see it. */
export interface RolloutView {
	id: string;
	fleet: string;
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
	/** Devices that were offered it and do not speak with it yet, at most 50. */
	underWay: { device: string; why: string }[];
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
	const those = (status: "offered" | "failed") =>
		Object.entries(devices)
			.filter(([, p]) => p.status === status)
			.slice(0, MOST)
			.map(([device, p]) => ({ device, why: p.why }));
	return {
		...{ fleet: spec.fleet, underWay: those("offered") },
		...{ id: spec.id, bundle: spec.bundle, status, why, gates, counts },
		...{ wave: wave + 1, waves: spec.waves.length },
		trouble: those("failed"),
		startedAt: new Date(state.startedAt).toISOString(),
		updatedAt: new Date(state.updatedAt).toISOString(),
	};
}
