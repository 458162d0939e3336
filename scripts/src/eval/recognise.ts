import {
	access,
	mkdir,
	mkdtemp,
	readFile,
	rm,
	writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { WattvoxError } from "@wattvox/core";
import { execute, installed } from "../corpus/execute.ts";

/** Debian's pocketsphinx-en-us: acoustic model, trigram language model, CMUdict. */
const MODEL = "/usr/share/pocketsphinx/model/en-us";
/** What the acoustic model hears. */
export const RECOGNISER_RATE = 16000;
/** Sentences to a process: loading the model costs half a second, a sentence about one. */
const BATCH = 16;

export interface RecogniseOptions {
	/** Processes at a time. Default 2. */
	jobs?: number;
	signal?: AbortSignal | undefined;
	/** Told after each batch how many sentences are done. */
	onDone?: (done: number) => void;
}

/** True when Debian's `pocketsphinx` and `pocketsphinx-en-us` are installed. */
export async function recogniserInstalled(): Promise<boolean> {
	try {
		await access(`${MODEL}/en-us.lm.bin`);
	} catch {
		return false;
	}
	return installed("pocketsphinx_batch");
}

/**
 * What pocketsphinx hears in each recording: lower-case words, "" for nothing.
 * Its cepstral mean is taken per utterance (`-cmn batch` in the model's own
 * settings), so neither order nor batching changes a result.
 *
 * @param waves mono at 16 kHz, -1..1
 * @throws WattvoxError E_FILE_MISSING when pocketsphinx is not installed
 */
export async function recognise(
	waves: readonly Float32Array[],
	opts: RecogniseOptions = {},
): Promise<string[]> {
	const heard = new Array<string>(waves.length).fill("");
	const batches = Array.from(
		{ length: Math.ceil(waves.length / BATCH) },
		(_, b) => b * BATCH,
	);
	let done = 0;
	const dir = await mkdtemp(join(tmpdir(), "wattvox-asr-"));
	try {
		const worker = async () => {
			for (let at = batches.shift(); at !== undefined; at = batches.shift()) {
				const part = waves.slice(at, at + BATCH);
				const words = await batch(part, join(dir, `${at}`), opts.signal);
				words.forEach((w, i) => {
					heard[at + i] = w;
				});
				done += part.length;
				opts.onDone?.(done);
			}
		};
		await Promise.all(Array.from({ length: opts.jobs ?? 2 }, worker));
	} finally {
		await rm(dir, { recursive: true, force: true });
	}
	return heard;
}

async function batch(
	waves: readonly Float32Array[],
	dir: string,
	signal: AbortSignal | undefined,
): Promise<string[]> {
	await mkdir(dir);
	await Promise.all(
		waves.map((w, i) => writeFile(join(dir, `${i}.raw`), pcm(w))),
	);
	const list = join(dir, "list.ctl");
	await writeFile(list, waves.map((_, i) => `${i}\n`).join(""));
	await execute(
		"pocketsphinx_batch",
		[
			["-hmm", `${MODEL}/en-us`],
			["-lm", `${MODEL}/en-us.lm.bin`],
			["-dict", `${MODEL}/cmudict-en-us.dict`],
			["-adcin", "yes"],
			["-cepdir", dir],
			["-cepext", ".raw"],
			["-ctl", list],
			["-hyp", join(dir, "heard.hyp")],
			["-logfn", "/dev/null"],
		].flat(),
		{ signal },
	);
	return hypotheses(
		await readFile(join(dir, "heard.hyp"), "utf8"),
		waves.length,
	);
}

/**
 * Reads `-hyp` lines: `words (id score)`. A word's second pronunciation is
 * written `word(2)`.
 *
 * @returns the words of ids 0..count-1
 * @throws WattvoxError E_BUG when an id is missing: pocketsphinx skips a file
 *   that it cannot read and still ends well
 */
export function hypotheses(text: string, count: number): string[] {
	const heard = new Map<number, string>();
	for (const line of text.split("\n")) {
		const m = /^(.*)\((\d+) \S+\)\s*$/.exec(line);
		if (m) heard.set(Number(m[2]), (m[1] ?? "").replace(/\(\d+\)/g, "").trim());
	}
	return Array.from({ length: count }, (_, id) => {
		const words = heard.get(id);
		if (words === undefined)
			throw new WattvoxError("E_BUG", `pocketsphinx skipped recording ${id}`);
		return words;
	});
}

/** 16-bit little-endian samples. */
function pcm(wave: Float32Array): Uint8Array {
	const out = Buffer.alloc(wave.length * 2);
	wave.forEach((x, i) => {
		out.writeInt16LE(
			Math.round(Math.max(-1, Math.min(1, Number.isNaN(x) ? 0 : x)) * 32767),
			i * 2,
		);
	});
	return out;
}
