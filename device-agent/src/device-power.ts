import { openPowerSource, type PowerSource } from "@wattvox/energy";
import { PowerBuffer } from "./power-buffer.ts";
import { PowerReporter, type PowerReporterOptions } from "./power-reporter.ts";

export type DevicePowerOptions = Omit<
	PowerReporterOptions,
	"source" | "buffer"
> & {
	/** Default: the best that works here. */
	source?: PowerSource | undefined;
	/** Folder that stands for `/` when a sensor is looked for. */
	hostRoot?: string | undefined;
	/** Where messages wait for a broker. */
	dataDir: string;
};

/** The device's sensor and what reports it; closes the sensor only if it opened it. */
export class DevicePower {
	readonly #o: DevicePowerOptions;
	#own: PowerSource | undefined;
	#reporter: PowerReporter | undefined;

	constructor(options: DevicePowerOptions) {
		this.#o = options;
	}

	/** Undefined before {@link start}. */
	get reporter(): PowerReporter | undefined {
		return this.#reporter;
	}

	/** Finds a sensor and begins to count. */
	async start(): Promise<void> {
		const { hostRoot: root, dataDir, source: given, ...rest } = this.#o;
		let source = given;
		if (!source) {
			source = (await openPowerSource(root === undefined ? {} : { root }))
				.source;
			this.#own = source;
		}
		const buffer = new PowerBuffer(dataDir);
		this.#reporter = new PowerReporter({ ...rest, source, buffer });
		await this.#reporter.start();
	}

	/** Says the last word. Idempotent. */
	stop(): Promise<void> | undefined {
		return this.#reporter?.stop();
	}

	/** Gives the sensor back. Idempotent. */
	async close(): Promise<void> {
		await this.#own?.close();
		this.#own = undefined;
	}
}
