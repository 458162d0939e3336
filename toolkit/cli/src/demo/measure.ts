import type { Clock } from "@wattvox/core";
import type { SpeechMeasurement } from "@wattvox/energy";
import type { Books } from "../booked.ts";
import type { Io } from "../command.ts";
import { ask } from "./ask.ts";
import { stage } from "./stage.ts";

/**
 * The fixed workload, spoken by a device's speech API where it is asked for or a sensor makes it worth
 * its half minute.
 * @param wanted seconds; 0 leaves it out; undefined: 30 where a sensor measures, else left out
 * @param url of the speech API
 * @param clock for tests
 * @throws WattvoxError E_USAGE (too short a run); what {@link ask} throws; the signal's reason
 */
export async function measured(
	wanted: number | undefined,
	url: string,
	io: Io,
	books: Books,
	clock?: Clock,
): Promise<SpeechMeasurement | undefined> {
	const seconds = wanted ?? (books.meter.describe().measured ? 30 : undefined);
	if (!seconds) return undefined;
	const { measureSpeech } = await import("@wattvox/energy");
	return stage("measure", io, books, async (progress) => {
		const found = await measureSpeech(
			async (text, signal) => {
				const { samples, sampleRate } = await ask(url, text, signal);
				return { audioSeconds: samples.length / sampleRate };
			},
			{
				meter: books.meter,
				seconds,
				idleSeconds: 5,
				signal: io.signal,
				onProgress: progress,
				...(clock && { clock }),
			},
		);
		return [found, `${found.utterances} utterances back to back`];
	});
}
