import { readdirSync } from "node:fs";
import { join } from "node:path";
import { WattvoxError } from "@wattvox/core";
import type { CounterReading, CounterSource, Unavailable } from "./source.ts";
import { readText, whyUnreadable } from "./sysfs.ts";

interface Domain {
	name: string;
	energyPath: string;
	range: bigint;
}

// Top level only: intel-rapl:0:0 (core, dram) is part of or beside a package, and
// intel-rapl-mmio:0 shows the same package a second time.
const TOP_LEVEL = /^intel-rapl:\d+$/;

/**
 * Opens the processor packages' energy counters (RAPL, Intel and AMD) under
 * `<root>/sys/class/powercap`. Only domains named package-*: adding core, uncore or psys to them
 * would count the same joules twice.
 *
 * Format: Documentation/power/powercap/powercap.rst of the Linux kernel.
 */
export function openRapl(root = "/"): CounterSource | Unavailable {
	const base = join(root, "sys/class/powercap");
	let entries: string[];
	try {
		entries = readdirSync(base);
	} catch {
		return { unavailable: "no /sys/class/powercap" };
	}
	const domains: Domain[] = [];
	for (const entry of entries.filter((e) => TOP_LEVEL.test(e)).sort()) {
		try {
			const name = readText(join(base, entry, "name"));
			if (!name.startsWith("package-")) continue;
			const energyPath = join(base, entry, "energy_uj");
			const range = count(join(base, entry, "max_energy_range_uj"));
			if (range <= 0n) return { unavailable: `${entry}: range is ${range}` };
			count(energyPath);
			domains.push({ name, energyPath, range });
		} catch (thrown) {
			// One package of two would be half the truth: all or nothing.
			return { unavailable: `${entry}: ${whyUnreadable(thrown)}` };
		}
	}
	if (domains.length === 0)
		return { unavailable: "no package domain in /sys/class/powercap" };
	return new Rapl(domains);
}

class Rapl implements CounterSource {
	readonly kind = "counter";
	/** The counters move once a millisecond. */
	readonly periodSeconds = 0.001;
	readonly ranges: readonly bigint[];
	readonly #domains: readonly Domain[];

	constructor(domains: readonly Domain[]) {
		this.#domains = domains;
		this.ranges = domains.map((d) => d.range);
	}

	describe() {
		return {
			sensor: "rapl",
			rails: this.#domains.map((d) => d.name),
			scope:
				"processor packages, every process on the machine; without memory, " +
				"graphics cards, disks, fans and power supply",
			measured: true,
			domain: "cpu" as const,
		};
	}

	/** Reads synchronously, so that the packages are read at one moment (tens of microseconds). */
	async read(): Promise<CounterReading> {
		try {
			const atNs = process.hrtime.bigint();
			return {
				atNs,
				microjoules: this.#domains.map((d) => count(d.energyPath)),
			};
		} catch (thrown) {
			throw new WattvoxError("E_SENSOR", `rapl: ${whyUnreadable(thrown)}`, {
				cause: thrown,
			});
		}
	}

	async close(): Promise<void> {}
}

function count(path: string): bigint {
	const value = readText(path);
	if (!/^\d+$/.test(value)) throw new Error(`${path} holds no number`);
	return BigInt(value);
}
