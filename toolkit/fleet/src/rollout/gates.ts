import type { Seen } from "./planner.ts";
import type { RolloutState } from "./spec.ts";
import { type Comparison, compare, type Sample } from "./statistics.ts";

/** What a gate said of a wave. */
export interface GateResult {
	/** From 0; 0 is the canary. */
	wave: number;
	gate: "health" | "energy";
	/** unknown: not enough devices with sensors spoke. */
	verdict: "pass" | "fail" | "wait" | "unknown";
	/** In words, with the figures. */
	why: string;
	/** Canary against control, joules per second of speech. */
	comparison?: Comparison;
	/** ISO 8601. */
	at: string;
}

/** How many of the wave's devices failed. */
export function healthGate(state: RolloutState, now: number): GateResult {
	const { wave, spec } = state;
	const mine = Object.values(state.devices).filter((p) => p.wave === wave);
	const failed = mine.filter((p) => p.status === "failed").length;
	const allowed = spec.maxFailed * mine.length;
	const percent = (share: number) => `${Math.round(share * 1000) / 10} %`;
	return {
		...{ wave, gate: "health", at: new Date(now).toISOString() },
		verdict: failed > allowed ? "fail" : "pass",
		why: `${failed} of ${mine.length} devices failed, ${percent(spec.maxFailed)} may`,
	};
}

/**
 * Joules per second of speech of those that speak with the new bundle against those not offered it
 * yet, in the same time. It passes when the interval lies below the limit, fails when it lies above,
 * and waits while it holds the limit. Only devices whose joules a sensor measured are in it.
 */
export function energyGate(
	state: RolloutState,
	view: ReadonlyMap<string, Seen>,
	now: number,
): GateResult {
	const { wave, spec } = state;
	const canary: Sample[] = [];
	const control: Sample[] = [];
	for (const [device, progress] of Object.entries(state.devices)) {
		const seen = view.get(device);
		const speech = seen?.speech;
		if (!speech || speech.audioSeconds < spec.leastAudioSeconds) continue;
		if (!(speech.joules > 0)) continue;
		const value = speech.joules / speech.audioSeconds;
		const sample = { value, kind: seen.kind };
		if (progress.status === "good") canary.push(sample);
		else if (
			progress.status === "waiting" &&
			seen.reported?.bundle !== spec.bundle
		)
			control.push(sample);
	}
	const base = {
		wave,
		gate: "energy",
		at: new Date(now).toISOString(),
	} as const;
	const comparison = compare(canary, control, spec.leastDevices);
	if (!comparison)
		return {
			...base,
			verdict: "unknown",
			why: `${canary.length} with the new voice and ${control.length} without it measured ${spec.leastAudioSeconds} s of speech; ${spec.leastDevices} of each, of one kind, are needed`,
		};
	const { low, high, ratio } = comparison;
	const limit = percent(spec.maxRatio);
	const said = `${percent(ratio)} (95 %: ${percent(low)} to ${percent(high)}) joules per second of speech, ${comparison.canary} devices against ${comparison.control}; ${limit} is allowed`;
	const verdict =
		high <= spec.maxRatio ? "pass" : low > spec.maxRatio ? "fail" : "wait";
	return { ...base, verdict, why: said, comparison };
}

function percent(ratio: number): string {
	const value = (ratio - 1) * 100;
	return `${value < 0 ? "-" : "+"}${Math.abs(value).toFixed(1)} %`;
}
