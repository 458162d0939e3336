import { readdirSync } from "node:fs";
import { join } from "node:path";
import { numberOrNull, textOrNull } from "../sysfs.ts";

/** What a board says of itself; what it does not say is null. */
export interface BoardFacts {
	/** "NVIDIA Jetson Orin Nano Developer Kit". */
	model: string | null;
	/** NVIDIA's Linux release: "36.4.3". */
	l4t: string | null;
	/** "15W", "MAXN_SUPER". */
	powerMode: string | null;
	/** Degrees Celsius by zone, without those that are switched off. */
	temperatures: Record<string, number>;
	/** Load of the GPU, 0..1. */
	gpuLoad: number | null;
}

/**
 * Reads what a board says of itself from its files; nothing is run and no right is needed. On a
 * machine that is no Jetson there are temperatures and a model at most.
 */
export function readBoard(root = "/"): BoardFacts {
	return {
		model:
			textOrNull(join(root, "proc/device-tree/model"))?.replaceAll("\0", "") ??
			null,
		l4t: release(textOrNull(join(root, "etc/nv_tegra_release"))),
		powerMode: powerMode(root),
		temperatures: temperatures(root),
		gpuLoad: gpuLoad(root),
	};
}

/** The hottest zone, degrees Celsius: what throttling goes by. */
export function hottest(facts: BoardFacts): number | null {
	const all = Object.values(facts.temperatures);
	return all.length ? Math.max(...all) : null;
}

/** "# R36 (release), REVISION: 4.3, ..." */
function release(text: string | null): string | null {
	const match = /# R(\d+) \(release\), REVISION: ([\d.]+)/.exec(text ?? "");
	return match ? `${match[1]}.${match[2]}` : null;
}

/** nvpmodel notes the mode it set as "pmode:0002"; its configuration gives the number a name. */
function powerMode(root: string): string | null {
	const status = textOrNull(join(root, "var/lib/nvpmodel/status"));
	const id = /pmode:(\d+)/.exec(status ?? "")?.[1];
	if (id === undefined) return null;
	const names = textOrNull(join(root, "etc/nvpmodel.conf")) ?? "";
	for (const [, number, name] of names.matchAll(
		/<\s*POWER_MODEL\s+ID=(\d+)\s+NAME=(\S+)\s*>/g,
	))
		if (Number(number) === Number(id) && name) return name;
	return `mode ${Number(id)}`;
}

function temperatures(root: string): Record<string, number> {
	const dir = join(root, "sys/devices/virtual/thermal");
	const found: Record<string, number> = {};
	for (const zone of zones(dir)) {
		const name = textOrNull(join(dir, zone, "type"));
		// A zone whose part is switched off cannot be read, or reads -256 degrees.
		const millidegrees = numberOrNull(join(dir, zone, "temp"));
		if (name && millidegrees !== null && millidegrees > -200_000)
			found[name.replace(/[-_]thermal$/, "")] = millidegrees / 1000;
	}
	return found;
}

function zones(dir: string): string[] {
	try {
		return readdirSync(dir).filter((name) => name.startsWith("thermal_zone"));
	} catch {
		return [];
	}
}

/** Thousandths; the folder moved between releases. */
function gpuLoad(root: string): number | null {
	for (const place of [
		"platform/gpu.0",
		"gpu.0",
		"platform/bus@0/17000000.gpu",
	]) {
		const load = numberOrNull(join(root, "sys/devices", place, "load"));
		if (load !== null) return load / 1000;
	}
	return null;
}
