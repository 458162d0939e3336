import { type EstimateOptions, EstimateSource } from "./estimate.ts";
import { openIna3221 } from "./jetson/ina3221.ts";
import { openTegrastats } from "./jetson/tegrastats.ts";
import { openNvidiaSmi } from "./nvidia/nvidia-smi.ts";
import { openNvml } from "./nvidia/nvml.ts";
import { openRapl } from "./rapl.ts";
import type { PowerSource, SingleSource, Unavailable } from "./source.ts";
import { sumOf } from "./sum.ts";

export interface OpenPowerOptions {
	/** Folder that stands for `/`: tests point it at a committed tree. */
	root?: string;
	/** Where programs are looked for. */
	env?: NodeJS.ProcessEnv;
	/** For the estimate, if it comes to that. */
	estimate?: EstimateOptions;
}

export interface OpenedPower {
	source: PowerSource;
	/** The better sensors that are not there, and why. */
	skipped: { sensor: string; reason: string }[];
}

type Opened = SingleSource | Unavailable;

/** A way to measure; it says why it cannot be used here. */
interface Probe {
	sensor: string;
	open(root: string, env: NodeJS.ProcessEnv): Opened | Promise<Opened>;
}

/** A Jetson's monitors see its processor and its graphics both: the first that works is all. */
const BOARD: readonly Probe[] = [
	{ sensor: "ina3221", open: openIna3221 },
	{ sensor: "tegrastats", open: (_, env) => openTegrastats(env) },
];
/** Elsewhere processors and graphics cards are counted apart: the first of each, added. */
const PROCESSORS: readonly Probe[] = [{ sensor: "rapl", open: openRapl }];
const GRAPHICS: readonly Probe[] = [
	{ sensor: "nvml", open: (root, env) => openNvml({ root, env }) },
	{ sensor: "nvidia-smi", open: (_, env) => openNvidiaSmi(env) },
];

/** Opens the best source that works here; the labelled estimate always does. */
export async function openPowerSource(
	options: OpenPowerOptions = {},
): Promise<OpenedPower> {
	const { root = "/", env = process.env } = options;
	const skipped: OpenedPower["skipped"] = [];
	const first = async (probes: readonly Probe[]) => {
		for (const probe of probes) {
			const opened = await probe.open(root, env);
			if (!("unavailable" in opened)) return [opened];
			skipped.push({ sensor: probe.sensor, reason: opened.unavailable });
		}
		return [];
	};
	const board = await first(BOARD);
	const found = board.length
		? board
		: [...(await first(PROCESSORS)), ...(await first(GRAPHICS))];
	const [one, ...more] = found;
	if (!one) return { source: new EstimateSource(options.estimate), skipped };
	return { source: more.length ? sumOf(found) : one, skipped };
}
