import { dirname } from "node:path";
import { ensureWritableDir, writeAtomic } from "@wattvox/core";
import { writeWav } from "@wattvox/speech";
import { concat, type SpeakOptions, type UtteranceStats } from "./utterance.ts";
import { type LoadOptions, Voice } from "./voice.ts";

/** Stored in every wav file: whoever finds it must be able to learn that nobody said this. */
export function syntheticTag(voice: string): string {
	return `Synthetic speech made by wattvox, voice ${voice}`;
}

export interface SayOptions
	extends Omit<SpeakOptions, "whole">,
		Omit<LoadOptions, "signal"> {
	/** Called with each chunk as it comes, for a progress display. */
	onChunk?: (samples: Float32Array, stats: UtteranceStats) => void;
}

/**
 * Speaks a text with a voice folder into a wav file (16-bit mono), whole or not at all.
 * Trust is the caller's: open the bundle first (`openBundle`).
 * @throws WattvoxError as {@link Voice.load} and {@link Voice.speak}; E_OUTPUT, E_DISK_FULL
 */
export async function sayToFile(
	voiceDir: string,
	text: string,
	out: string,
	options: SayOptions = {},
): Promise<UtteranceStats> {
	await ensureWritableDir(dirname(out));
	const { onChunk, ...rest } = options;
	const voice = await Voice.load(voiceDir, rest);
	try {
		const utterance = voice.speak(text, rest);
		const chunks: Float32Array[] = [];
		for await (const chunk of utterance) {
			chunks.push(chunk);
			onChunk?.(chunk, utterance.stats);
		}
		const comment = syntheticTag(voice.config.name);
		const { sampleRate } = utterance;
		await writeAtomic(out, writeWav(concat(chunks), sampleRate, { comment }));
		return utterance.stats;
	} finally {
		await voice.dispose();
	}
}
