import { dirname } from "node:path";
import { ensureWritableDir } from "@wattvox/core";
import type {
	Ledger,
	Meter,
	MeterOptions,
	OpenPowerOptions,
	Stage,
} from "@wattvox/energy";

/** An open ledger on the best power source that works here. */
export interface Books {
	ledger: Ledger;
	/** Started; stopped by {@link booked}. */
	meter: Meter;
	/** What all of it has cost so far. */
	cost(): { joules: number | null; measured: boolean };
	/** What a stage has cost so far, worded for a progress bar; undefined while nobody knows. */
	spent(stage: Stage): string | undefined;
}

/** How a ledger is opened. */
export interface BookedOptions {
	power?: OpenPowerOptions;
	meter?: MeterOptions;
	/** What it is for, such as "train amy"; a sensor then looks at the resting machine first. */
	job?: string;
}

/** How long a sensor looks at the resting machine. */
const IDLE_SECONDS = 2;

/**
 * Opens the power source, a meter on it and a ledger, runs `work` with them and closes all.
 * @param path the ledger's file; an existing one is continued
 * @param options for tests: where to look for a sensor in place of the machine's own, and how to read it
 * @throws whatever `work` throws; WattvoxError E_OUTPUT, E_DISK_FULL, E_FILE_FORMAT
 */
export async function booked<T>(
	path: string,
	work: (books: Books) => Promise<T>,
	options: BookedOptions = {},
): Promise<T> {
	const { between, formatEnergy, Ledger, Meter, openPowerSource } =
		await import("@wattvox/energy");
	// Before anything is measured: the ledger is the first file of a run.
	await ensureWritableDir(dirname(path));
	const { source } = await openPowerSource(options.power);
	const { measured } = source.describe();
	const meter = new Meter(source, options.meter);
	const ledger = new Ledger({
		meter,
		path,
		...(options.job !== undefined && { job: options.job }),
	});
	try {
		await meter.start();
		await ledger.start();
		// A sensor has to look at the resting machine first; an estimate knows without.
		if (measured && options.job !== undefined) await ledger.idle(IDLE_SECONDS);
		const first = meter.latest;
		return await work({
			ledger,
			meter,
			cost: () => ({ joules: between(first, meter.latest).joules, measured }),
			spent(stage) {
				const energy = stage.energy();
				return energy.joules === null
					? undefined
					: formatEnergy({ ...energy, coverage: 1, measured });
			},
		});
	} finally {
		await ledger.stop();
		await meter.stop();
		await source.close();
	}
}
