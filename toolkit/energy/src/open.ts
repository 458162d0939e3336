import { type EstimateOptions, EstimateSource } from "./estimate.ts";
import { openRapl, type Unavailable } from "./rapl.ts";
import type { PowerSource } from "./source.ts";

/** A way to measure, best first; each says why it cannot be used here. */
interface Probe {
	sensor: string;
	open(
		root: string,
	): PowerSource | Unavailable | Promise<PowerSource | Unavailable>;
}

// Sensors on a board or in a graphics card join this list before the estimate.
const PROBES: readonly Probe[] = [{ sensor: "rapl", open: openRapl }];

export interface OpenPowerOptions {
	/** Folder that stands for `/`: tests point it at a committed tree. */
	root?: string;
	/** For the estimate, if it comes to that. */
	estimate?: EstimateOptions;
}

export interface OpenedPower {
	source: PowerSource;
	/** The better sensors that are not there, and why. */
	skipped: { sensor: string; reason: string }[];
}

/** Opens the best source that works here; the labelled estimate always does. */
export async function openPowerSource(
	options: OpenPowerOptions = {},
): Promise<OpenedPower> {
	const skipped: OpenedPower["skipped"] = [];
	for (const probe of PROBES) {
		const opened = await probe.open(options.root ?? "/");
		if (!("unavailable" in opened)) return { source: opened, skipped };
		skipped.push({ sensor: probe.sensor, reason: opened.unavailable });
	}
	return { source: new EstimateSource(options.estimate), skipped };
}
