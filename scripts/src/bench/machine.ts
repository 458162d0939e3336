import { availableParallelism, cpus, release, totalmem } from "node:os";

/** What figures depend on, printed beside them. */
export interface MachineFacts {
	processor: string;
	cores: number;
	memoryGB: number;
	node: string;
	kernel: string;
}

export function machineFacts(): MachineFacts {
	return {
		processor: cpus()[0]?.model.trim() ?? "unknown",
		cores: availableParallelism(),
		memoryGB: Math.round(totalmem() / 2 ** 30),
		node: process.version,
		kernel: release(),
	};
}

export function formatMachine(m: MachineFacts): string {
	return `${m.processor}, ${m.cores} cores, ${m.memoryGB} GB, Node ${m.node}, Linux ${m.kernel}`;
}

/** Middle of the values. */
export function median(values: readonly number[]): number {
	return quantile(values, 0.5);
}

/** Quantile by linear interpolation between the sorted values (Hyndman and Fan's type 7). */
export function quantile(values: readonly number[], q: number): number {
	const sorted = [...values].sort((a, b) => a - b);
	const at = (sorted.length - 1) * q;
	const low = sorted[Math.floor(at)] ?? Number.NaN;
	const high = sorted[Math.ceil(at)] ?? Number.NaN;
	return low + (high - low) * (at - Math.floor(at));
}
