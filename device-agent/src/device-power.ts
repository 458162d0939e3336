import type { Log } from "@wattvox/core";
import { openPowerSource, type PowerSource } from "@wattvox/energy";
import { Backlog } from "./backlog/backlog.ts";
import { Outbox, type OutboxOptions } from "./backlog/outbox.ts";
import { PowerReporter, type PowerReporterOptions } from "./power-reporter.ts";

export type DevicePowerOptions = Omit<
	PowerReporterOptions,
	"source" | "outbox"
> &
	Pick<OutboxOptions, "publish" | "online"> & {
		/** Default: the best that works here. */
		source?: PowerSource | undefined;
		/** Folder that stands for `/` when a sensor is looked for. */
		hostRoot?: string | undefined;
		/** Where readings and utterances wait for a broker. */
		dataDir: string;
		log: Log;
	};

/** The device's sensor and what reports it; closes the sensor only if it opened it. */
export class DevicePower {
	readonly #o: DevicePowerOptions;
	#own: PowerSource | undefined;
	#source: PowerSource | null = null;
	#reporter: PowerReporter | undefined;
	#outbox: Outbox | undefined;

	constructor(options: DevicePowerOptions) {
		this.#o = options;
	}

	/** Undefined before {@link start}. */
	get reporter(): PowerReporter | undefined {
		return this.#reporter;
	}

	/** What gives the joules; null before {@link start}. */
	get source(): PowerSource | null {
		return this.#source;
	}

	/** Finds a sensor and begins to count. */
	async start(): Promise<void> {
		const { hostRoot: root, dataDir, source: given, log, ...rest } = this.#o;
		let source = given;
		if (!source) {
			source = (await openPowerSource(root === undefined ? {} : { root }))
				.source;
			this.#own = source;
		}
		this.#source = source;
		const backlog = new Backlog(dataDir, {
			onTrouble: ({ code, message }) =>
				log.warn(
					{ code },
					`what is to be reported waits in memory: ${message}`,
				),
		});
		await backlog.open();
		const outbox = new Outbox({ ...rest, backlog });
		this.#outbox = outbox;
		this.#reporter = new PowerReporter({ ...rest, source, outbox });
		await this.#reporter.start();
	}

	/** Says the last word, and keeps on disk what no broker took. Idempotent. */
	async stop(): Promise<void> {
		await this.#reporter?.stop();
		await this.#outbox?.stop();
	}

	/** Gives the sensor back. Idempotent. */
	async close(): Promise<void> {
		await this.#own?.close();
		this.#own = undefined;
	}
}
