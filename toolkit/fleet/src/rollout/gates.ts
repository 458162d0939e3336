import { speechConditions } from "@wattvox/energy";
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
 * yet. It passes when the interval lies below the limit, fails when it lies above, and waits while it
 * holds the limit. Only devices whose joules a sensor measured are in it.
 *
 * What devices measured by the fixed workload goes first, the figure that they hold their own voices to:
 * compared within a kind of device, power mode, temperature band, runtime and sensor. Where too few tell
 * one, it is their shares of busy time since the wave settled, compared within a kind of device and runtime.
 */
export function energyGate(
	state: RolloutState,
	view: ReadonlyMap<string, Seen>,
	now: number,
): GateResult {
	const { wave, spec } = state;
	const base = {
		wave,
		gate: "energy",
		at: new Date(now).toISOString(),
	} as const;
	const measured = groups(state, view, byWorkload);
	const spoken = groups(state, view, (seen) => byShare(seen, spec));
	const workload = compare(...measured, spec.leastDevices);
	const comparison = workload ?? compare(...spoken, spec.leastDevices);
	if (!comparison)
		return {
			...base,
			verdict: "unknown",
			why: `${spoken[0].length} with the new voice and ${spoken[1].length} without it measured ${spec.leastAudioSeconds} s of speech, ${measured[0].length} and ${measured[1].length} the fixed workload; ${spec.leastDevices} of each, of one kind, are needed`,
		};
	const { low, high, ratio } = comparison;
	const limit = percent(spec.maxRatio);
	const by = workload ? "the fixed workload" : "shares of busy time";
	const said = `${percent(ratio)} (95 %: ${percent(low)} to ${percent(high)}) joules per second of speech by ${by}, ${comparison.canary} devices against ${comparison.control}; ${limit} is allowed`;
	const verdict =
		high <= spec.maxRatio ? "pass" : low > spec.maxRatio ? "fail" : "wait";
	return { ...base, verdict, why: said, comparison };
}

/** Figures of the devices that speak with the new bundle, and of those not offered it yet. */
function groups(
	{ devices, spec }: RolloutState,
	view: ReadonlyMap<string, Seen>,
	sampleOf: (seen: Seen) => Sample | undefined,
): [canary: Sample[], control: Sample[]] {
	const canary: Sample[] = [];
	const control: Sample[] = [];
	for (const [device, { status }] of Object.entries(devices)) {
		const seen = view.get(device);
		const sample = seen && sampleOf(seen);
		if (!sample) continue;
		if (status === "good") canary.push(sample);
		else if (status === "waiting" && seen.reported?.bundle !== spec.bundle)
			control.push(sample);
	}
	return [canary, control];
}

function byWorkload({ workload, kind }: Seen): Sample | undefined {
	const conditions = workload && speechConditions(workload);
	if (!conditions || !(workload.gross.value > 0)) return undefined;
	return { value: workload.gross.value, kind: `${kind}, ${conditions}` };
}

function byShare(
	{ speech, kind, reported }: Seen,
	{ leastAudioSeconds }: RolloutState["spec"],
): Sample | undefined {
	if (!speech || speech.audioSeconds < leastAudioSeconds) return undefined;
	if (!(speech.joules > 0)) return undefined;
	const runtime = reported?.runtime;
	return {
		value: speech.joules / speech.audioSeconds,
		kind: runtime ? `${kind}, ${runtime.name}` : kind,
	};
}

function percent(ratio: number): string {
	const value = (ratio - 1) * 100;
	return `${value < 0 ? "-" : "+"}${Math.abs(value).toFixed(1)} %`;
}
