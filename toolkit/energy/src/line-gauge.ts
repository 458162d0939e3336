import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { WattvoxError } from "@wattvox/core";
import type { GaugeSource, PowerReading, SourceDescription } from "./source.ts";

export interface LineGaugeOptions {
	command: string;
	args: readonly string[];
	/** Watts once a line completes a reading, undefined until it does; throws on what is no reading. */
	parse: (line: string) => number | undefined;
	describe: SourceDescription;
	/** Without a reading for so long the sensor is silent. Default 2000. */
	silentMs?: number;
	lagSeconds?: number;
}

/**
 * Power that a program prints line by line for as long as it runs. The program is started at the
 * first reading and ended by {@link close}; a program that ended is started again, at most once a second.
 *
 * INVARIANT: a reading carries the time at which its line arrived, so a program that hangs leaves a
 * hole and not a plateau.
 */
export class LineGauge implements GaugeSource {
	readonly kind = "gauge";
	readonly lagSeconds: number;
	readonly #o: LineGaugeOptions;
	#child: ChildProcess | undefined;
	#startedAt = Number.NEGATIVE_INFINITY;
	#latest: PowerReading | undefined;
	#problem = "it has not answered yet";
	#waiting: (() => void)[] = [];
	#closed = false;

	constructor(options: LineGaugeOptions) {
		this.#o = options;
		this.lagSeconds = options.lagSeconds ?? 0;
	}

	describe(): SourceDescription {
		return { ...this.#o.describe, rails: [...this.#o.describe.rails] };
	}

	async read(): Promise<PowerReading> {
		if (this.#closed) throw this.#silent("it was closed");
		this.#run();
		const fresh = this.#fresh();
		if (fresh) return fresh;
		// Between two lines, or before the first: the next one is near.
		await new Promise<void>((resolve) => {
			const timer = setTimeout(resolve, this.#o.silentMs ?? 2000);
			this.#waiting.push(() => {
				clearTimeout(timer);
				resolve();
			});
		});
		const came = this.#fresh();
		if (came) return came;
		throw this.#silent(this.#problem);
	}

	async close(): Promise<void> {
		this.#closed = true;
		this.#wake();
		const child = this.#child;
		this.#child = undefined;
		if (!child || child.exitCode !== null || child.signalCode !== null) return;
		const ended = once(child, "close");
		child.kill("SIGTERM");
		const hard = setTimeout(() => child.kill("SIGKILL"), 1000);
		await ended.catch(() => undefined);
		clearTimeout(hard);
	}

	#run(): void {
		if (this.#child || performance.now() - this.#startedAt < 1000) return;
		this.#startedAt = performance.now();
		const child = spawn(this.#o.command, this.#o.args, {
			stdio: ["ignore", "pipe", "ignore"],
		});
		this.#child = child;
		const gone = (why: string) => {
			if (this.#child === child) this.#child = undefined;
			this.#problem = why;
			this.#wake();
		};
		child.once("error", (error) => gone(error.message));
		child.once("close", (code) => gone(`it ended with ${code}`));
		// A sensor never keeps a process alive.
		child.unref();
		(child.stdout as unknown as { unref?(): void }).unref?.();
		createInterface({ input: child.stdout }).on("line", (line) => {
			try {
				const watts = this.#o.parse(line);
				if (watts === undefined) return;
				this.#latest = {
					atNs: process.hrtime.bigint(),
					watts: Math.max(0, watts),
				};
			} catch (thrown) {
				this.#problem = (thrown as Error).message;
				return;
			}
			this.#wake();
		});
	}

	#fresh(): PowerReading | undefined {
		const latest = this.#latest;
		const age = latest && Number(process.hrtime.bigint() - latest.atNs) / 1e6;
		return age !== undefined && age < (this.#o.silentMs ?? 2000)
			? latest
			: undefined;
	}

	#wake(): void {
		for (const wake of this.#waiting.splice(0)) wake();
	}

	#silent(why: string): WattvoxError {
		return new WattvoxError("E_SENSOR", `${this.#o.describe.sensor}: ${why}`);
	}
}
