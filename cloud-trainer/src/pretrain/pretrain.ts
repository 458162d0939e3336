import { existsSync } from "node:fs";
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { asWattvoxError, type Progress, WattvoxError } from "@wattvox/core";
import { decoderReach, vocoderReach } from "@wattvox/models";
import { encodeModel } from "@wattvox/onnx";
import { createEngine } from "@wattvox/runtime";
import { readWav } from "@wattvox/speech";
import { ENGLISH_PHONES, readCorpus, symbolsOf } from "../data/corpus.ts";
import { type Example, loadFeatures } from "../data/features.ts";
import { detectLayout, readRecordings } from "../data/layouts.ts";
import { alignerGraph } from "../graphs/encoders.ts";
import {
	flatStart,
	phonesOf,
	RECORDING_FLOOR,
	realign,
	writeUtterances,
} from "./align-corpus.ts";
import {
	type Base,
	newBase,
	readBase,
	readWeights,
	withWeights,
	writeBase,
} from "./base.ts";
import type { KlWeights, StageOptions } from "./run.ts";
import {
	distilStudent,
	embedAll,
	meanEmbedding,
	trainAligner,
	trainSpeaker,
	trainTeacher,
	trainVocoder,
} from "./stages.ts";

/** The stages of base training, in order. */
export const STAGES = [
	"speaker",
	"aligner",
	"vocoder",
	"teacher",
	"student",
] as const;
export type StageName = (typeof STAGES)[number];

/** Steps per stage that the shipped English base was trained with. */
export const STEPS: Record<StageName, number> = {
	speaker: 900,
	aligner: 700,
	vocoder: 7000,
	teacher: 9600,
	student: 28200,
};

/** Rounds of training and realigning that a flat start takes. */
const FLAT_ROUNDS = 3;

export interface PretrainOptions {
	/** Folder of the corpus, in any layout that is known. */
	corpus: string;
	/** Folder of the base to make. */
	out: string;
	/** The base's name and language (BCP 47). */
	name: string;
	language: string;
	/** Stages to run; all when absent. Finished stages are skipped only by naming the others. */
	stages?: readonly StageName[];
	/** Steps in place of {@link STEPS}, all stages scaled. */
	scale?: number;
	steps?: Partial<Record<StageName, number>>;
	/** Sizes other than ours, for a base that is made anew. */
	sizes?: Partial<
		Pick<Base, "teacher" | "student" | "vocoder" | "speaker" | "aligner">
	>;
	/** A base whose aligner starts the alignment of a corpus that has none. */
	alignWith?: string;
	/** How much KL weighs in the teacher and the student, at first and in the end; 0.1 and 1. */
	kl?: KlWeights;
	threads?: number;
	seed?: number;
	progress?: Progress;
	energy?: () => string | undefined;
	/** Runs a stage, so that its energy can be booked. */
	book?: <T>(stage: string, work: () => Promise<T>) => Promise<T>;
	signal?: AbortSignal;
}

interface Corpus {
	base: Base;
	examples: Example[];
}

/**
 * Trains a base: speaker encoder, aligner, vocoder, teacher, and the student distilled from it. Each
 * stage keeps a checkpoint in OUT/work: the same call resumes after an abort.
 * @throws WattvoxError E_FILE_FORMAT (no corpus), E_INTERRUPTED
 */
export async function pretrain(o: PretrainOptions): Promise<Base> {
	const work = join(o.out, "work");
	await mkdir(work, { recursive: true });
	const { base, examples } = await openCorpus(o, work);
	const book = o.book ?? ((_stage, run) => run());
	let embeddings: Map<string, Float32Array> | undefined;
	const embedded = async () => {
		embeddings ??= await embedAll(o.out, base, examples, o.threads ?? 2);
		return embeddings;
	};
	const run: Record<StageName, (s: StageOptions) => Promise<void>> = {
		speaker: (s) => trainSpeaker(o.out, base, examples, s),
		aligner: (s) => trainAligner(o.out, base, examples, s),
		vocoder: (s) => trainVocoder(o.out, base, examples, s),
		teacher: async (s) =>
			trainTeacher(o.out, base, examples, await embedded(), s),
		student: async (s) =>
			distilStudent(o.out, base, examples, await embedded(), s),
	};
	for (const stage of o.stages ?? STAGES) {
		await book(stage, () => run[stage](stageOptions(o, stage, work)));
		if (o.signal?.aborted)
			throw new WattvoxError(
				"E_INTERRUPTED",
				`stopped in stage ${stage}; its checkpoint is kept`,
			);
	}
	// With the first stages alone there may be no speaker encoder yet.
	if (existsSync(join(o.out, "speaker.onnx"))) {
		base.voices = ownVoices(examples, await embedded());
		await writeBase(o.out, base);
	}
	return base;
}

function stageOptions(
	o: PretrainOptions,
	stage: StageName,
	work: string,
): StageOptions {
	const steps =
		o.steps?.[stage] ?? Math.max(1, Math.round(STEPS[stage] * (o.scale ?? 1)));
	const task = o.progress?.task(stage, steps);
	return {
		work,
		threads: o.threads ?? 2,
		seed: o.seed ?? 1,
		steps,
		...(o.kl && { kl: o.kl }),
		onStep: (_name, r) => {
			const spent = o.energy?.();
			task?.update(r.step, {
				loss: (r.values.loss ?? Number.NaN).toFixed(3),
				...(spent ? { energy: spent } : {}),
			});
			if (r.step === r.steps) task?.finish();
		},
		...(o.signal ? { signal: o.signal } : {}),
	};
}

/** The largest voices of a corpus with their mean embeddings: what a new voice must not be taken for. */
function ownVoices(
	examples: readonly Example[],
	embeddings: ReadonlyMap<string, Float32Array>,
): Base["voices"] {
	const groups = new Map<string, Float32Array[]>();
	for (const e of examples) {
		const v = embeddings.get(e.id);
		if (v && e.split === "train")
			groups.set(e.speaker, [...(groups.get(e.speaker) ?? []), v]);
	}
	const largest = Math.max(...[...groups.values()].map((g) => g.length));
	return Object.fromEntries(
		[...groups]
			.filter(([, g]) => g.length > largest / 2)
			.map(([name, g]) => [
				name,
				Array.from(meanEmbedding(g), (x) => Math.round(x * 1e6) / 1e6),
			]),
	);
}

/** The corpus as examples with durations, aligned first where it has none of its own. */
async function openCorpus(o: PretrainOptions, work: string): Promise<Corpus> {
	const layout = await detectLayout(o.corpus);
	const task = o.progress?.task("features");
	const seen = (done: number, total: number) => {
		o.signal?.throwIfAborted();
		task?.update(done, { of: String(total) });
	};
	const described = (symbols: string[]) =>
		readBase(o.out).catch(() =>
			sized(newBase(o.name, o.language, symbols), o.sizes),
		);
	if (layout === "wattvox") {
		const base = await described(symbolsOf(ENGLISH_PHONES));
		await writeBase(o.out, base);
		const utterances = await readCorpus(o.corpus);
		const { examples, left } = await loadFeatures(
			o.corpus,
			utterances,
			base.audio,
			base.symbols,
			seen,
			work,
		);
		task?.finish(
			`${examples.length} utterances${left ? `, ${left} left out` : ""}`,
		);
		return { base, examples };
	}
	const recordings = await readRecordings(o.corpus, layout);
	const own = recordings.some((r) => r.phones);
	const base = await described(
		symbolsOf(own ? phonesOf(recordings) : ENGLISH_PHONES),
	);
	await writeBase(o.out, base);
	const utterances = flatStart(
		recordings,
		await lengthsOf(o.corpus, recordings, base.audio.sampleRate),
	);
	const loaded = await loadFeatures(
		o.corpus,
		utterances,
		base.audio,
		base.symbols,
		seen,
		work,
	);
	task?.finish(`${loaded.examples.length} recordings`);
	let { examples } = loaded;
	const pass = async (from: Base, dir: string, floor: number) => {
		const engine = await createEngine(
			encodeModel(
				withWeights(
					alignerGraph(from.aligner, from.symbols.length, 0),
					await readWeights(dir, "aligner"),
				),
			),
			{ threads: o.threads ?? 2 },
		);
		const align = o.progress?.task("align", loaded.examples.length);
		try {
			const found = await realign(
				loaded.examples,
				recordings,
				base.symbols,
				base.audio.nMels,
				engine,
				floor,
				(d) => {
					o.signal?.throwIfAborted();
					align?.update(d);
				},
			);
			align?.finish(
				`${found.examples.length} aligned, ${found.rejected.length} rejected`,
			);
			examples = found.examples;
		} finally {
			await engine.dispose();
		}
	};
	const helper = o.alignWith ? await readBase(o.alignWith) : undefined;
	if (helper && String(helper.symbols) !== String(base.symbols))
		throw new WattvoxError(
			"E_USAGE",
			`${o.alignWith} cannot align ${o.corpus}: it has other phones`,
		);
	if (helper && o.alignWith) await pass(helper, o.alignWith, RECORDING_FLOOR);
	else
		for (let round = 1; round <= FLAT_ROUNDS; round++) {
			// A fresh checkpoint name each round: the aligner starts anew on better labels.
			await trainAligner(
				o.out,
				base,
				examples,
				stageOptions(o, "aligner", join(work, `flat-${round}`)),
			);
			if (o.signal?.aborted)
				throw new WattvoxError(
					"E_INTERRUPTED",
					`stopped in round ${round} of the alignment; its checkpoint is kept`,
				);
			// An aligner that has only heard phones of equal length is too unsure to reject anything.
			const last = round === FLAT_ROUNDS;
			await pass(base, o.out, last ? RECORDING_FLOOR : -Infinity);
		}
	if (examples.length === 0)
		throw new WattvoxError(
			"E_ALIGN",
			`no recording of ${o.corpus} fits its text`,
		);
	await writeUtterances(
		work,
		utterances,
		examples,
		base.symbols,
		base.audio.hop,
	);
	return { base, examples };
}

/** A base with other sizes, and the halo that follows from them. */
function sized(base: Base, sizes: PretrainOptions["sizes"]): Base {
	const changed = { ...base, ...sizes };
	return {
		...changed,
		halo: decoderReach(changed.student) + vocoderReach(changed.vocoder),
	};
}

/**
 * Samples of each recording, as they will be at the model's rate.
 * @throws WattvoxError E_FILE_MISSING, E_WAV_CORRUPT naming the file
 */
async function lengthsOf(
	dir: string,
	recordings: readonly { id: string; wav: string }[],
	rate: number,
): Promise<Map<string, number>> {
	const out = new Map<string, number>();
	for (const r of recordings) {
		const path = join(dir, r.wav);
		const bytes = await readFile(path).catch((cause) => {
			throw new WattvoxError("E_FILE_MISSING", `${path} is missing`, { cause });
		});
		try {
			const { samples, sampleRate } = readWav(bytes);
			out.set(r.id, Math.round((samples.length * rate) / sampleRate));
		} catch (cause) {
			const { code, message } = asWattvoxError(cause);
			throw new WattvoxError(code, `${path}: ${message}`, { cause });
		}
	}
	return out;
}
