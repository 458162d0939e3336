import { availableParallelism } from "node:os";
import { type CpuClock, processCpuClock } from "./cpu-time.ts";
import type { CounterReading, CounterSource } from "./source.ts";

export interface EstimateOptions {
	/** Power of the whole processor at full load, watts. Default 85, CodeCarbon's fallback. */
	tdpWatts?: number;
	/** Share of that power drawn when idle. Default 0.1. */
	idleShare?: number;
	/** Cores the power is divided over. Default: those this process may use. */
	cores?: number;
	/** For tests. */
	cpu?: CpuClock;
	/** For tests: monotonic nanoseconds. */
	now?: () => bigint;
}

/**
 * A labelled estimate for machines without a sensor: power rises linearly with processor load
 * (Fan, Weber, Barroso: Power provisioning for a warehouse-sized computer, 2007):
 *
 *   watts  = TDP * (idle + (1 - idle) * busyCores / cores)
 *   joules = TDP * idle * wallSeconds + TDP * (1 - idle) / cores * cpuSeconds
 *
 * It is a counter: joules of an interval come from processor time, however rarely it is read.
 */
export class EstimateSource implements CounterSource {
	readonly kind = "counter";
	readonly ranges = [null];
	/** Processor time of children is counted in hundredths of a second. */
	readonly periodSeconds = 0.01;
	readonly idleWatts: number;
	readonly #tdp: number;
	readonly #idle: number;
	readonly #cores: number;
	readonly #cpu: CpuClock;
	readonly #now: () => bigint;
	readonly #startNs: bigint;
	readonly #startCpu: number;

	constructor(options: EstimateOptions = {}) {
		this.#tdp = options.tdpWatts ?? 85;
		this.#idle = options.idleShare ?? 0.1;
		this.idleWatts = this.#tdp * this.#idle;
		this.#cores = options.cores ?? availableParallelism();
		this.#cpu = options.cpu ?? processCpuClock();
		this.#now = options.now ?? process.hrtime.bigint;
		this.#startNs = this.#now();
		this.#startCpu = this.#cpu();
	}

	describe() {
		const idle = Math.round(this.#idle * 100);
		return {
			sensor: "estimate",
			rails: ["processor"],
			scope:
				"processor time of this process and its children, and the idle share",
			measured: false,
			assumption:
				`no power sensor: processor of ${this.#tdp} W over ${this.#cores} cores, ` +
				`${idle} % of it when idle, the rest in proportion to processor time`,
			domain: "cpu" as const,
		};
	}

	async read(): Promise<CounterReading> {
		const atNs = this.#now();
		const wall = Number(atNs - this.#startNs) / 1e3; // microseconds
		const cpu = this.#cpu() - this.#startCpu; // microseconds
		const busy = ((1 - this.#idle) / this.#cores) * cpu;
		const microjoules = this.#tdp * (this.#idle * wall + busy); // W * us
		return { atNs, microjoules: [BigInt(Math.round(microjoules))] };
	}

	async close(): Promise<void> {}
}
