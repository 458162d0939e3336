import { readdirSync } from "node:fs";
import { join } from "node:path";
import { numberOrNull, textOrNull } from "../sysfs.ts";

/** What a board says of itself; what it does not say is null. */
export interface BoardFacts {
	/** "NVIDIA Jetson Orin Nano Developer Kit". */
	model: string | null;
	/** NVIDIA's Linux release: "36.4.3". */
	l4t: string | null;
	/** Version of NVIDIA's TensorRT, by its library's file name: "10.3.0". */
	tensorrt: string | null;
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
		tensorrt: tensorrt(root),
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

/** What is known of a board, for people. */
export function boardWords(facts: BoardFacts): string[] {
	const degrees = hottest(facts);
	const words = [
		facts.model,
		facts.l4t && `Linux for Tegra ${facts.l4t}`,
		facts.tensorrt && `TensorRT ${facts.tensorrt}`,
		facts.powerMode && `power mode ${facts.powerMode}`,
		degrees !== null && `hottest zone ${degrees.toFixed(0)} °C`,
		facts.gpuLoad !== null && `GPU load ${Math.round(100 * facts.gpuLoad)} %`,
	];
	return words.filter((word) => typeof word === "string");
}

/** "# R36 (release), REVISION: 4.3, ..." */
function release(text: string | null): string | null {
	const match = /# R(\d+) \(release\), REVISION: ([\d.]+)/.exec(text ?? "");
	return match ? `${match[1]}.${match[2]}` : null;
}

/** Debian packages of all releases put the library there; where several versions lie, the newest. */
function tensorrt(root: string): string | null {
	const found = names(join(root, "usr/lib/aarch64-linux-gnu"))
		.map((name) => /^libnvinfer\.so\.(\d+\.\d+\.\d+)$/.exec(name)?.[1])
		.filter((version) => version !== undefined)
		.toSorted((a, b) => a.localeCompare(b, "en", { numeric: true }));
	return found.at(-1) ?? null;
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
	for (const zone of names(dir)) {
		if (!zone.startsWith("thermal_zone")) continue;
		const name = textOrNull(join(dir, zone, "type"));
		// A zone whose part is switched off cannot be read, or reads -256 degrees.
		const millidegrees = numberOrNull(join(dir, zone, "temp"));
		if (name && millidegrees !== null && millidegrees > -200_000)
			found[name.replace(/[-_]thermal$/, "")] = millidegrees / 1000;
	}
	return found;
}

function names(dir: string): string[] {
	try {
		return readdirSync(dir);
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
