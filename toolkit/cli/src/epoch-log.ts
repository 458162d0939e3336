import { appendFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Meter } from "@wattvox/energy";

/** File of a run's folder with energy, utilisation, power and temperature per epoch: JSON lines. */
export const EPOCHS = "epochs.jsonl";

/**
 * Writes an epoch's figures beside a training's log as it ends.
 * @param steps per epoch
 */
export async function epochLog(
	meter: Meter,
	stage: string,
	log: string,
	steps: number,
): Promise<{
	onStep: (report: { step: number }) => void;
	stop: () => Promise<void>;
}> {
	const { EpochMonitor } = await import("@wattvox/cloud-trainer");
	const path = join(dirname(log), EPOCHS);
	let written: Promise<void> = Promise.resolve();
	const monitor = new EpochMonitor(meter, steps, (report) => {
		written = written.then(() =>
			appendFile(path, `${JSON.stringify({ stage, ...report })}\n`),
		);
	});
	await monitor.start();
	return {
		onStep: monitor.onStep,
		stop: async () => {
			await monitor.stop();
			await written;
		},
	};
}
