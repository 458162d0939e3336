import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { WattvoxError } from "@wattvox/core";
import { spread } from "./espeak-phones.ts";
import { execute } from "./execute.ts";

const SOURCE = fileURLToPath(
	new URL("../../src/corpus/espeak-events.c", import.meta.url),
);

/** Compiles the small program that asks libespeak-ng for its phoneme events; returns its path. */
export async function buildEspeak(
	dir: string,
	signal?: AbortSignal,
): Promise<string> {
	const program = join(dir, "espeak-events");
	await execute("gcc", ["-O1", "-o", program, SOURCE, "-l:libespeak-ng.so.1"], {
		signal,
	});
	return program;
}

export interface EspeakOptions {
	/** A voice and a variant: `en-us+f1`. */
	voice: string;
	/** Words a minute, 80-450; espeak-ng's habit is 175. */
	words: number;
	/** Pitch setting 0-99, see `pitchSetting`. */
	pitch: number;
	/** Range setting 0-99, 50 is the voice's own. */
	range: number;
}

export interface EspeakSpeech {
	/** Rate of the raw 16-bit file, in Hz. */
	sampleRate: number;
	phones: [phone: string, end: number][];
}

/** Speaks `text` into the headerless 16-bit file `out`; phone ends in seconds. */
export async function espeak(
	program: string,
	text: string,
	out: string,
	options: EspeakOptions,
	signal?: AbortSignal,
): Promise<EspeakSpeech> {
	const { voice, words, pitch, range } = options;
	const printed = await execute(
		program,
		[voice, ...[words, pitch, range].map((n) => String(Math.round(n))), out],
		{ input: text, signal },
	);
	return parseEvents(printed.toString("utf8"), voice.startsWith("en-gb"));
}

/**
 * Reads what espeak-events prints.
 * @throws WattvoxError E_FILE_FORMAT when there is no phoneme in it
 */
export function parseEvents(printed: string, british = false): EspeakSpeech {
	const [head = "", ...lines] = printed.trimEnd().split("\n");
	const [sampleRate = 0, total = 0] = head.split(" ").map(Number);
	const events = lines.map((line): [string, number] => {
		const space = line.indexOf(" ");
		return [line.slice(space + 1), Number(line.slice(0, space)) / sampleRate];
	});
	if (!(sampleRate > 0) || events.length === 0) {
		throw new WattvoxError("E_FILE_FORMAT", "espeak-ng told no phonemes");
	}
	return { sampleRate, phones: spread(events, total / sampleRate, british) };
}
