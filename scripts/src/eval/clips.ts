import { readdir, readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { plainWords } from "@wattvox/cloud-trainer";
import { WattvoxError } from "@wattvox/core";
import { readWav, resample } from "@wattvox/speech";
import { RECOGNISER_RATE } from "./recognise.ts";

/** A text with the file name (no folder, no ending) that its recording goes by. */
export interface Sentence {
	name: string;
	text: string;
}

/** A spoken sentence, mono at 16 kHz. */
export interface Clip extends Sentence {
	samples: Float32Array;
}

/**
 * One voice to be evaluated: recordings in a folder, or a synthesiser.
 * `say` gives 16 kHz samples, or undefined where this voice has no such sentence.
 */
export interface VoiceSource {
	name: string;
	say(sentence: Sentence): Promise<Float32Array | undefined>;
	/** Frees what the voice holds. */
	dispose?(): Promise<void>;
}

/** Sentences are the same when their words are. */
export function textKey(text: string): string {
	return plainWords(text).join(" ");
}

/**
 * Reads the pairs NAME.wav + NAME.txt of a folder, in the order of their names.
 *
 * @throws WattvoxError E_FILE_MISSING when the folder has no pair, and readWav's errors
 */
export async function readClips(dir: string, limit?: number): Promise<Clip[]> {
	const clips: Clip[] = [];
	for (const name of await wavNames(dir)) {
		if (clips.length === limit) break;
		const text = await transcript(dir, name);
		if (text !== undefined)
			clips.push({ name, text, samples: await readWave(dir, name) });
	}
	if (clips.length === 0)
		throw new WattvoxError(
			"E_FILE_MISSING",
			`${dir} holds no recording with a transcript (NAME.wav beside NAME.txt)`,
		);
	return clips;
}

/**
 * Recordings that show what a voice sounds like: those of `wanted` sentences
 * when the folder has all of them, else `count` spread evenly over the folder,
 * with "" for a missing transcript.
 */
export async function sampleClips(
	dir: string,
	count: number,
	wanted: readonly Sentence[] = [],
): Promise<Clip[]> {
	const names = await wavNames(dir);
	const source = await folderVoice(dir);
	const same: Clip[] = [];
	for (const { text } of wanted) {
		// By text alone: equal file names in another folder mean nothing.
		const samples = await source.say({ name: "", text });
		if (!samples) break;
		same.push({ name: `${same.length}`, text, samples });
	}
	if (same.length > 0 && same.length === wanted.length) return same;
	const step = Math.max(1, names.length / count);
	const clips: Clip[] = [];
	for (let i = 0; i < names.length && clips.length < count; i += step) {
		const name = names[Math.floor(i)] ?? "";
		clips.push({
			name,
			text: (await transcript(dir, name)) ?? "",
			samples: await readWave(dir, name),
		});
	}
	return clips;
}

/**
 * The voices in a folder: itself when it holds wav files, else each of its
 * subfolders that does; `wavs/` is looked into, as our own corpora have it.
 */
export async function voiceFolders(
	dir: string,
): Promise<{ name: string; dir: string }[]> {
	if ((await wavNames(dir)).length > 0) return [{ name: basename(dir), dir }];
	const found: { name: string; dir: string }[] = [];
	for (const entry of await readdir(dir, { withFileTypes: true })) {
		if (!entry.isDirectory()) continue;
		const sub = join(dir, entry.name);
		if ((await wavNames(sub)).length > 0)
			found.push({ name: entry.name, dir: sub });
		else if (entry.name === "wavs") found.push(...(await voiceFolders(sub)));
	}
	return found.sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** A folder of wav files as a voice: by file name, else by the words of the transcript. */
export async function folderVoice(
	dir: string,
	name: string = basename(dir),
): Promise<VoiceSource> {
	const names = new Set(await wavNames(dir));
	const byText = new Map<string, string>();
	const byName = new Map<string, string>();
	for (const n of names) {
		const text = await transcript(dir, n);
		if (text === undefined) continue;
		byText.set(textKey(text), n);
		byName.set(n, textKey(text));
	}
	return {
		name,
		async say(s) {
			const key = textKey(s.text);
			// A file of that name counts unless its transcript says something else.
			const named = names.has(s.name) && (byName.get(s.name) ?? key) === key;
			const file = named ? s.name : byText.get(key);
			return file === undefined ? undefined : readWave(dir, file);
		},
	};
}

async function wavNames(dir: string): Promise<string[]> {
	const files = await readdir(dir);
	return files
		.filter((f) => f.endsWith(".wav"))
		.map((f) => f.slice(0, -4))
		.sort();
}

async function transcript(
	dir: string,
	name: string,
): Promise<string | undefined> {
	try {
		return (await readFile(join(dir, `${name}.txt`), "utf8")).trim();
	} catch (thrown) {
		if ((thrown as NodeJS.ErrnoException).code === "ENOENT") return undefined;
		throw thrown;
	}
}

async function readWave(dir: string, name: string): Promise<Float32Array> {
	const wav = readWav(await readFile(join(dir, `${name}.wav`)));
	return wav.sampleRate === RECOGNISER_RATE
		? wav.samples
		: resample(wav.samples, wav.sampleRate, RECOGNISER_RATE);
}
