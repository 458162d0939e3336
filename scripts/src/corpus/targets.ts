import { mkdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import {
	ensureWritableDir,
	type Progress,
	WattvoxError,
	writeAtomic,
} from "@wattvox/core";
import { writeWav } from "@wattvox/speech";
import { execute } from "./execute.ts";
import { FLITE_VOICES } from "./flite.ts";
import { levelFrames, trim } from "./level.ts";
import { hash, random } from "./random.ts";
import { recipes } from "./recipes.ts";
import { sox } from "./sox.ts";
import { RATE, speak } from "./speak.ts";
import { texts } from "./texts.ts";

const DATA = new URL("../../data/", import.meta.url);
/** Held-out sentences: the first are the evaluation's, the next the targets'. */
const EVAL_SENTENCES = 50;
const HELDOUT_RECORDINGS = 60;
/** Noise under the target's recordings, as a quiet room has. */
const ROOM = 1.5e-4;

/** Voices that no training speaker uses. */
export type Target = "ked" | "scottish";

/** A sentence by a voice that the base never hears: 16 kHz, without silence at its ends. */
async function speakTarget(
	target: Target,
	text: string,
	scratch: string,
	signal?: AbortSignal,
): Promise<Float32Array> {
	const file = join(scratch, "target.wav");
	try {
		if (target === "ked") {
			await execute(
				"text2wave",
				["-eval", "(voice_ked_diphone)", "-o", file, "-"],
				{ input: text, signal },
			);
		} else {
			await execute(
				"espeak-ng",
				["-v", "en-gb-scotland+f4", "-s", "150", "-w", file, "--stdin"],
				{ input: text, signal },
			);
		}
		return trim(await sox({ path: file }, 1, null, RATE, signal), RATE);
	} finally {
		await rm(file, { force: true });
	}
}

/** Sentences of the passage that the demonstration's clip reads. */
export async function passage(): Promise<string[]> {
	const text = await readFile(new URL("demo-passage.txt", DATA), "utf8");
	return text.trim().split("\n");
}

/** Joins recordings with pauses of 0.3-0.6 s, 0.25 s of room at both ends. */
export function join16k(
	parts: readonly Float32Array[],
	seed: number,
): Float32Array {
	const next = random(seed);
	const edge = 0.25 * RATE;
	const starts: number[] = [];
	let at = edge;
	for (const part of parts) {
		starts.push(at);
		at += part.length + Math.round((0.3 + 0.3 * next()) * RATE);
	}
	const last = starts.length - 1;
	const out = new Float32Array(
		last < 0 ? 0 : (starts[last] ?? 0) + (parts[last]?.length ?? 0) + edge,
	);
	for (const [i, part] of parts.entries()) out.set(part, starts[i]);
	return out;
}

export interface TargetOptions {
	target: Target;
	progress: Progress;
	signal?: AbortSignal;
}

/**
 * The recordings of an unseen voice: `clip.wav` + `clip.txt` (about a minute, one file) and
 * `heldout/NN.wav` + `.txt`, other sentences.
 * @throws WattvoxError E_OUTPUT, E_DISK_FULL, E_FILE_MISSING (festival or espeak-ng missing)
 */
export async function makeTarget(
	dir: string,
	{ target, progress, signal }: TargetOptions,
): Promise<void> {
	await ensureWritableDir(dir);
	const lines = await passage();
	const { heldout } = texts(0, 1);
	const from = EVAL_SENTENCES + (target === "ked" ? 0 : HELDOUT_RECORDINGS);
	const others = heldout.slice(from, from + HELDOUT_RECORDINGS);
	const task = progress.task(`target ${target}`, lines.length + others.length);
	const parts: Float32Array[] = [];
	for (const line of lines) {
		parts.push(await speakTarget(target, line, dir, signal));
		task.update(parts.length);
	}
	const finish = (s: Float32Array, name: string) =>
		writeWav(levelFrames(s, ROOM, random(hash(target + name))), RATE);
	await writeAtomic(
		join(dir, "clip.wav"),
		finish(join16k(parts, hash(target)), "clip"),
	);
	await writeAtomic(join(dir, "clip.txt"), `${lines.join("\n")}\n`);
	await mkdir(join(dir, "heldout"), { recursive: true });
	for (const [i, { text }] of others.entries()) {
		const name = String(i + 1).padStart(2, "0");
		const spoken = await speakTarget(target, text, dir, signal);
		const path = join(dir, "heldout", name);
		await writeAtomic(`${path}.wav`, finish(join16k([spoken], 0), name));
		await writeAtomic(`${path}.txt`, `${text}\n`);
		task.update(lines.length + i + 1);
	}
	task.finish();
}

/** Fifty unseen sentences by each plain base voice: `VOICE/NNN.wav` + `NNN.txt`. */
export async function makeEval(
	dir: string,
	{ progress, signal }: { progress: Progress; signal?: AbortSignal },
): Promise<void> {
	await ensureWritableDir(dir);
	const lines = texts(0, 1).heldout.slice(0, EVAL_SENTENCES);
	const plain = recipes(1, 1).filter((r) => r.timbre === null);
	if (plain.length !== FLITE_VOICES.length) {
		throw new WattvoxError("E_BUG", "a base voice has no plain recipe");
	}
	const task = progress.task("eval", lines.length * plain.length);
	let done = 0;
	for (const recipe of plain) {
		for (const [i, { text }] of lines.entries()) {
			const name = String(i + 1).padStart(3, "0");
			const tools = { scratch: dir };
			const { samples } = await speak(recipe, text, name, tools, signal);
			const path = join(dir, recipe.id, name);
			await writeAtomic(`${path}.wav`, writeWav(samples, RATE));
			await writeAtomic(`${path}.txt`, `${text}\n`);
			task.update(++done);
		}
	}
	task.finish();
}
