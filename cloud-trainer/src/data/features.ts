import { createHash } from "node:crypto";
import { open, readFile, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { WattvoxError, writeAtomic } from "@wattvox/core";
import { logMel, type MelConfig, readWav, resample } from "@wattvox/speech";
import { phoneFrames, type Utterance } from "./corpus.ts";

/** One utterance ready for training. */
export interface Example {
	id: string;
	speaker: string;
	split: Utterance["split"];
	/** Phone indices in the base's symbol list. */
	phones: Int32Array;
	/** Frames of each phone. */
	durations: Int32Array;
	frames: number;
	/** Log-mel [frames, nMels]. */
	mel: Float32Array;
	/** 16-bit samples, frames * hop of them. */
	wave: Int16Array;
}

interface IndexEntry {
	id: string;
	frames: number;
}

const CACHE = "features";
const VERSION = 2;

/**
 * Log-mel and samples of a whole corpus in memory, computed once and kept in two files in `cache`.
 * Utterances whose phones are unknown to the base, or outnumber the frames, are left out and counted.
 */
export async function loadFeatures(
	dir: string,
	utterances: readonly Utterance[],
	audio: MelConfig,
	symbols: readonly string[],
	/** Told every few utterances; what it throws ends the work, and nothing half-done stays. */
	progress?: (done: number, total: number) => void,
	/** Where the cache lies; beside the corpus when absent. */
	cache = dir,
): Promise<{ examples: Example[]; left: number }> {
	const key = createHash("sha256")
		.update(
			JSON.stringify([
				VERSION,
				audio,
				utterances.map((u) => [u.id, u.samples]),
			]),
		)
		.digest("hex")
		.slice(0, 16);
	const base = join(cache, `${CACHE}-${key}`);
	if (!(await stat(`${base}.json`).catch(() => undefined)))
		await build(dir, base, utterances, audio, progress);
	const index = JSON.parse(
		await readFile(`${base}.json`, "utf8"),
	) as IndexEntry[];
	const mels = await readWhole(`${base}.mel`);
	const waves = await readWhole(`${base}.wav16`);
	const at = new Map(symbols.map((s, i) => [s, i]));
	const byId = new Map(utterances.map((u) => [u.id, u]));
	const examples: Example[] = [];
	let left = 0;
	let frame = 0;
	for (const entry of index) {
		const u = byId.get(entry.id);
		const start = frame;
		frame += entry.frames;
		const phones = u?.phones.map(([p]) => at.get(p) ?? -1);
		if (
			!u ||
			!phones ||
			phones.includes(-1) ||
			phones.length > entry.frames ||
			!phones.length
		) {
			left++;
			continue;
		}
		examples.push({
			id: u.id,
			speaker: u.speaker,
			split: u.split,
			phones: Int32Array.from(phones),
			durations: phoneFrames(
				u.phones.map(([, end]) => end),
				audio.hop,
				entry.frames,
			),
			frames: entry.frames,
			mel: new Float32Array(
				mels,
				start * audio.nMels * 4,
				entry.frames * audio.nMels,
			),
			wave: new Int16Array(
				waves,
				start * audio.hop * 2,
				entry.frames * audio.hop,
			),
		});
	}
	return { examples, left };
}

/** A whole file in one buffer; readFile stops at 2 GiB. */
async function readWhole(path: string): Promise<ArrayBuffer> {
	const handle = await open(path, "r");
	try {
		const { size } = await handle.stat();
		const buffer = new ArrayBuffer(size);
		const step = 256 << 20;
		for (let at = 0; at < size; at += step)
			await handle.read(
				new Uint8Array(buffer, at, Math.min(step, size - at)),
				0,
				undefined,
				at,
			);
		return buffer;
	} finally {
		await handle.close();
	}
}

async function build(
	dir: string,
	base: string,
	utterances: readonly Utterance[],
	audio: MelConfig,
	progress?: (done: number, total: number) => void,
): Promise<void> {
	const index: IndexEntry[] = [];
	const mel = await open(`${base}.mel.tmp`, "w");
	const wave = await open(`${base}.wav16.tmp`, "w");
	try {
		for (const [i, u] of utterances.entries()) {
			const path = join(dir, u.wav);
			const bytes = await readFile(path).catch((cause) => {
				throw new WattvoxError("E_FILE_MISSING", `${path} is missing`, {
					cause,
				});
			});
			const read = readWav(bytes);
			const samples =
				read.sampleRate === audio.sampleRate
					? read.samples
					: await resample(read.samples, read.sampleRate, audio.sampleRate);
			const rows = logMel(samples, audio);
			const frames = rows.length / audio.nMels;
			const pcm = new Int16Array(frames * audio.hop);
			for (let s = 0; s < pcm.length; s++)
				pcm[s] = Math.round(Math.max(-1, Math.min(1, samples[s] ?? 0)) * 32767);
			// writeFile writes all of it or throws; write may stop half-way on a disk that fills up
			await mel.writeFile(
				new Uint8Array(rows.buffer, rows.byteOffset, rows.byteLength),
			);
			await wave.writeFile(new Uint8Array(pcm.buffer));
			index.push({ id: u.id, frames });
			if (i % 10 === 0) progress?.(i, utterances.length);
		}
		await mel.sync();
		await wave.sync();
	} catch (thrown) {
		for (const end of ["mel", "wav16"])
			await rm(`${base}.${end}.tmp`, { force: true });
		throw thrown;
	} finally {
		await mel.close();
		await wave.close();
	}
	await rename(`${base}.mel.tmp`, `${base}.mel`);
	await rename(`${base}.wav16.tmp`, `${base}.wav16`);
	await writeAtomic(`${base}.json`, JSON.stringify(index));
}
