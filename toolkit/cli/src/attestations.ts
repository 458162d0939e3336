import { facts, table } from "@wattvox/core";
import type { Attestation } from "@wattvox/energy";
import type { FoundAttestation } from "@wattvox/fleet/attestations";

type Figure = { value: number; plusMinus: number | null } | null | undefined;

const figure = (f: Figure, unit: string, measured: boolean) =>
	!f
		? "unknown"
		: `${measured ? "" : "est. "}${Number(f.value.toPrecision(3))} ± ${f.plusMinus === null ? "unknown" : Number(f.plusMinus.toPrecision(2))} ${unit}`.trim();

const degrees = (a: Attestation) =>
	a.temperatureC
		? `${a.temperatureC.before.toFixed(0)} to ${a.temperatureC.after.toFixed(0)} °C`
		: "unknown";

/** One attestation, for whoever made it. */
export function formatAttestation(a: Attestation): string {
	const { joulesPerAudioSecond: j, measured } = a;
	return [
		facts([
			["device class", a.deviceClass],
			["joules per second of speech", figure(j?.gross, "J", measured)],
			["above the resting machine", figure(j?.marginal, "J", measured)],
			["power at rest", figure(a.idleWatts, "W", measured)],
			["power while speaking", figure(a.busyWatts, "W", measured)],
			["real-time factor", figure(a.realTimeFactor, "", true)],
			["power mode", a.powerMode ?? "unknown"],
			["hottest zone", degrees(a)],
		]),
		a.method,
	].join("\n\n");
}

const SIGNED = {
	trusted: "trusted key",
	unknown: "unknown key",
	bad: "BAD SIGNATURE",
} as const;

/** Several of them, one a line; "" for none. A bad signature's figures are not shown. */
export function formatAttestations(all: readonly FoundAttestation[]): string {
	if (all.length === 0) return "";
	return table(
		[
			"device class",
			"J per s of speech",
			"above idle",
			"power mode",
			"temperature",
			"sensor",
			"signed by",
		],
		all.map(({ attestation: a, signature }) => {
			const j = a.joulesPerAudioSecond;
			const shown = signature !== "bad";
			return [
				a.deviceClass,
				shown ? figure(j?.gross, "J", a.measured) : "",
				shown ? figure(j?.marginal, "J", a.measured) : "",
				a.powerMode ?? "unknown",
				degrees(a),
				a.source.sensor,
				SIGNED[signature],
			];
		}),
		["left", "right", "right"],
	);
}
