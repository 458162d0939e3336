import { createHash } from "node:crypto";
import { createWriteStream } from "node:fs";
import { mkdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import {
	ensureWritableDir,
	outputError,
	type Progress,
	WattvoxError,
	writeAtomic,
} from "@wattvox/core";
import { writeWav } from "@wattvox/speech";
import { buildEspeak } from "./espeak.ts";
import type { TimedPhone } from "./phones.ts";
import { random, shuffle } from "./random.ts";
import { type Recipe, recipes } from "./recipes.ts";
import { RATE, speak, type Tools } from "./speak.ts";
import { texts } from "./texts.ts";

/** Raised whenever the same seed would no longer give the same corpus. */
const VERSION = 1;
const VALIDATION_SHARE = 0.035;

/** One line of `utterances.jsonl`. */
export interface Utterance {
	id: string;
	speaker: string;
	source: string;
	text: string;
	/** Relative to the corpus's folder. */
	wav: string;
	samples: number;
	phones: TimedPhone[];
	split: "train" | "val" | "heldout-speaker";
}

/** An utterance still to be spoken. */
export interface Planned {
	id: string;
	recipe: Recipe;
	text: string;
	split: Utterance["split"];
}

/** Deals the sentences to the speakers, each its own: pure. */
export function plan(
	speakers: readonly Recipe[],
	lines: readonly string[],
): Planned[] {
	let dealt = 0;
	return speakers.flatMap((recipe) => {
		const count = Math.min(recipe.utterances, lines.length - dealt);
		const validation = Math.max(1, Math.round(count * VALIDATION_SHARE));
		return Array.from({ length: count }, (_, i): Planned => {
			const split = i >= count - validation ? "val" : "train";
			return {
				id: `${recipe.id}-${String(i + 1).padStart(4, "0")}`,
				recipe,
				text: lines[dealt++] as string,
				split: recipe.split === "train" ? split : recipe.split,
			};
		});
	});
}

export interface CorpusOptions {
	hours: number;
	seed: number;
	/** These speakers only, for a try; all when left out. */
	only?: readonly string[];
	/** Utterances spoken at once. */
	jobs: number;
	progress: Progress;
	signal?: AbortSignal;
}

export interface CorpusSummary {
	utterances: number;
	hours: number;
	speakers: number;
	/** Sentences that a source could not be labelled for. */
	skipped: number;
}

/**
 * Makes the corpus in `dir`, or what is missing of it: the same seed and hours give the same corpus.
 * @throws WattvoxError E_USAGE when `dir` holds another corpus (seed, length, text or recipes differ), E_OUTPUT,
 * E_DISK_FULL, E_FILE_MISSING (flite, sox, gcc or libespeak-ng not installed), E_INTERRUPTED
 */
export async function generate(
	dir: string,
	options: CorpusOptions,
): Promise<CorpusSummary> {
	const { hours, seed, jobs, progress, signal } = options;
	await ensureWritableDir(dir);
	const speakers = recipes(hours, seed).filter(
		(r) => options.only?.includes(r.id) ?? true,
	);
	const total = speakers.reduce((n, r) => n + r.utterances, 0);
	const { train, heldout } = texts(total, seed);
	const planned = plan(
		speakers,
		train.map((s) => s.text),
	);
	await claim(dir, fingerprint(planned));
	await writeAtomic(
		join(dir, "heldout.txt"),
		heldout.map((s) => `${s.text}\n`).join(""),
	);
	await writeAtomic(
		join(dir, "speakers.json"),
		`${JSON.stringify(speakers, null, "\t")}\n`,
	);
	const scratch = join(dir, ".scratch");
	await mkdir(scratch, { recursive: true });
	const tools: Tools = { scratch, espeak: await buildEspeak(scratch, signal) };
	const journal = join(dir, "journal.jsonl");
	const done = await readJournal(dir, journal);
	const left = shuffle(
		planned.filter((p) => !done.has(p.id)),
		random(seed + 1),
	);
	const task = progress.task("corpus", planned.length);
	const log = createWriteStream(journal, { flags: "a" });
	let failed: unknown;
	log.on("error", (e) => {
		failed ??= outputError(journal, e);
	});
	let skipped = 0;
	let seconds = 0;
	for (const u of done.values()) seconds += u.samples / RATE;
	const worker = async () => {
		for (let next = left.pop(); next && !failed; next = left.pop()) {
			try {
				signal?.throwIfAborted();
				const made = await one(dir, next, tools, signal);
				done.set(made.id, made);
				log.write(`${JSON.stringify(made)}\n`);
				seconds += made.samples / RATE;
				task.update(done.size + skipped, {
					hours: (seconds / 3600).toFixed(2),
				});
			} catch (thrown) {
				if (thrown instanceof WattvoxError && thrown.code === "E_FILE_FORMAT") {
					skipped++;
					progress.note(`skipped ${next.id} (${next.text}): ${thrown.message}`);
				} else failed ??= thrown;
			}
		}
	};
	await Promise.all(Array.from({ length: jobs }, worker));
	await new Promise((resolve) => log.end(resolve));
	if (failed) {
		task.fail();
		throw failed;
	}
	const ordered = planned.flatMap((p) => done.get(p.id) ?? []);
	await writeAtomic(
		join(dir, "utterances.jsonl"),
		ordered.map((u) => `${JSON.stringify(u)}\n`).join(""),
	);
	await rm(scratch, { recursive: true, force: true });
	task.finish(`${ordered.length} utterances`);
	return {
		utterances: ordered.length,
		hours: seconds / 3600,
		speakers: speakers.length,
		skipped,
	};
}

/** Speaks, and puts the file in place under its own name only when it is whole. */
async function one(
	dir: string,
	planned: Planned,
	tools: Tools,
	signal?: AbortSignal,
): Promise<Utterance> {
	const { id, recipe, text, split } = planned;
	const { samples, phones } = await speak(recipe, text, id, tools, signal);
	const wav = `wavs/${recipe.id}/${id}.wav`;
	const path = join(dir, wav);
	// Not writeAtomic: thousands of fsyncs would take longer than the speech.
	const aside = join(tools.scratch, `${id}.done`);
	try {
		await mkdir(dirname(path), { recursive: true });
		await writeFile(aside, writeWav(samples, RATE));
		await rename(aside, path);
	} catch (thrown) {
		throw outputError(path, thrown);
	}
	const { id: speaker, source } = recipe;
	return {
		id,
		speaker,
		source,
		text,
		wav,
		samples: samples.length,
		phones,
		split,
	};
}

/** What identifies a corpus: every recipe and every sentence. */
function fingerprint(planned: readonly Planned[]): string {
	const all = createHash("sha256").update(JSON.stringify(planned));
	return `${JSON.stringify({ version: VERSION, plan: all.digest("hex") })}\n`;
}

/** Marks `dir` as the corpus described by `what`, or checks that it is. */
async function claim(dir: string, what: string): Promise<void> {
	const path = join(dir, "corpus.json");
	const before = await readFile(path, "utf8").catch(() => undefined);
	if (before === undefined) return writeAtomic(path, what);
	if (before !== what) {
		throw new WattvoxError(
			"E_USAGE",
			`${dir} holds another corpus; choose an empty folder`,
		);
	}
}

/** Utterances of an earlier run whose sound is there; a torn last line is dropped. */
async function readJournal(
	dir: string,
	path: string,
): Promise<Map<string, Utterance>> {
	const found = new Map<string, Utterance>();
	const text = await readFile(path, "utf8").catch(() => "");
	let kept = "";
	for (const line of text.split("\n")) {
		try {
			const u = JSON.parse(line) as Utterance;
			const { size } = await stat(join(dir, u.wav));
			if (size !== 44 + 2 * u.samples) continue;
			found.set(u.id, u);
			kept += `${line}\n`;
		} catch {}
	}
	if (kept !== text) await writeAtomic(path, kept);
	return found;
}
