import { readdir, readFile } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { between, type Meter, type MeterPoint } from "@wattvox/energy";

/** What one epoch took. Unknown is null, never 0. */
export interface EpochReport {
	/** From 1. */
	epoch: number;
	/** The last step in it. */
	step: number;
	seconds: number;
	joules: number | null;
	/** False for an estimate. */
	measured: boolean;
	/** Mean power over the part that is covered. */
	watts: number | null;
	/** Share of the machine's processors that this process kept busy. */
	utilisation: number;
	/** The hottest sensor at the end, in degrees Celsius. */
	temperature: number | null;
}

/** The hottest thermal zone in degrees Celsius; null where there is none. */
export async function hottest(
	root = "/sys/class/thermal",
): Promise<number | null> {
	let most: number | null = null;
	for (const zone of await readdir(root).catch(() => [])) {
		if (!zone.startsWith("thermal_zone")) continue;
		const text = await readFile(join(root, zone, "temp"), "utf8").catch(
			() => "",
		);
		const degrees = text.trim() === "" ? Number.NaN : Number(text) / 1000;
		// A zone that is off says 0 or less.
		if (degrees > 0) most = Math.max(most ?? degrees, degrees);
	}
	return most;
}

/** Energy, utilisation, power and temperature of every so many steps. */
export class EpochMonitor {
	readonly #meter: Meter;
	readonly #steps: number;
	readonly #report: (report: EpochReport) => void;
	readonly #thermal: string | undefined;
	#from: { point: MeterPoint; cpu: NodeJS.CpuUsage; step: number } | undefined;
	#last: Promise<void> = Promise.resolve();

	/**
	 * @param meter started, and not stopped by this
	 * @param steps per epoch
	 */
	constructor(
		meter: Meter,
		steps: number,
		report: (report: EpochReport) => void,
		thermal?: string,
	) {
		this.#meter = meter;
		this.#steps = Math.max(1, steps);
		this.#report = report;
		this.#thermal = thermal;
	}

	/** Begins to count. */
	async start(step = 0): Promise<void> {
		this.#from = {
			point: await this.#meter.point(),
			cpu: process.cpuUsage(),
			step,
		};
	}

	/** To be told of each step that is done; reports at an epoch's end. */
	onStep = ({ step }: { step: number }): void => {
		if (step % this.#steps === 0)
			this.#last = this.#last.then(() => this.#end(step));
	};

	/** Waits for the reports under way. */
	async stop(): Promise<void> {
		await this.#last;
	}

	async #end(step: number): Promise<void> {
		const from = this.#from;
		if (!from) return;
		const point = await this.#meter.point();
		const cpu = process.cpuUsage();
		this.#from = { point, cpu, step };
		const { joules, seconds, coverage } = between(from.point, point);
		const busy =
			(cpu.user - from.cpu.user + cpu.system - from.cpu.system) / 1e6;
		this.#report({
			epoch: Math.ceil(step / this.#steps),
			step,
			seconds,
			joules,
			measured: this.#meter.describe().measured,
			watts: joules === null ? null : joules / (seconds * coverage),
			utilisation: Math.min(1, busy / (seconds * availableParallelism())),
			temperature: await hottest(this.#thermal),
		});
	}
}
