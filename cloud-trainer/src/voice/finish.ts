import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { type Progress, WattvoxError } from "@wattvox/core";
import {
	castFloat,
	encodeModel,
	floats,
	int64s,
	mergeIntoWeights,
	type Tensor,
} from "@wattvox/onnx";
import { createEngine } from "@wattvox/runtime";
import { toPhones } from "@wattvox/speech";
import type { Example } from "../data/features.ts";
import { readPeft, writePeft } from "../lora/peft.ts";
import { readWeights, withWeights } from "../pretrain/base.ts";
import { adaptStudentDirectly, adaptTeacher } from "./adapt.ts";
import { ADAPT, type Adapted, type AdaptOptions } from "./adapt-options.ts";
import { distilVoice, plannedExample } from "./distil-voice.ts";
import { textGraph } from "./edge.ts";
import { RUN, type VoiceRun } from "./run.ts";

/** What the caller may set of an adaptation. */
export type AdaptRequest = Partial<Omit<AdaptOptions, "work">> & {
	progress?: Progress;
	/** Joules so far, for the progress bar; undefined when unknown. */
	energy?: () => string | undefined;
};

/** Learning rate of whole weights: that of pairs, four times as high, would shake them. */
export const WHOLE_RATE = 5e-4;

/**
 * A voice for little energy: the student learns from the recording itself, its decoder alone, a quarter of
 * the sentences per step at three times the rate, in turn, since kept rows have no padding to save. What it
 * takes is the average of the last steps: so high a rate finds the way sooner, and the average takes its
 * noise away. The last layer is solved when they are over, which a head start could only repeat; held-out
 * speech is asked then, and not on the way. One thread: products this small gain less by a second than it
 * costs. Durations stay the base's.
 */
export const LEAN = {
	refit: true,
	decoderOnly: true,
	anyLength: true,
	threads: 1,
	batch: 2,
	learningRate: 6e-3,
	average: 0.95,
	steps: 60,
	validateEvery: 1000,
} as const satisfies AdaptRequest;

function options(
	run: VoiceRun,
	name: string,
	request: AdaptRequest,
): AdaptOptions {
	const { progress, energy, ...given } = request;
	const rate = given.full ? { learningRate: WHOLE_RATE } : {};
	const o = { ...ADAPT, ...rate, threads: 2, ...given, work: run.dir };
	if (!progress) return o;
	const task = progress.task(name, o.steps);
	return {
		...o,
		onStep: (r) => {
			given.onStep?.(r);
			const spent = energy?.();
			task.update(r.step, {
				loss: (r.values.loss ?? Number.NaN).toFixed(3),
				...(spent ? { energy: spent } : {}),
			});
			if (r.step === o.steps) task.finish();
		},
	};
}

async function keep(
	run: VoiceRun,
	where: string,
	base: string,
	a: Adapted,
): Promise<void> {
	// Half precision, as the base itself ships: half the bytes of every update over the air.
	const half = new Map(
		[...a.adapter].map(([name, t]) => [name, castFloat(t, "float16")]),
	);
	await writePeft(join(run.dir, where), half, a.lora, a.adapted, base);
}

/**
 * Fine-tunes the teacher on the run's clip and leaves a PEFT adapter in the run's folder. An abort
 * leaves a checkpoint that the same call resumes from.
 */
export async function fineTune(
	run: VoiceRun,
	request: AdaptRequest = {},
): Promise<Adapted> {
	const weights = await readWeights(run.baseDir, "teacher");
	const adapted = await adaptTeacher(
		run.base,
		weights,
		{ examples: run.segments, speaker: run.speaker },
		options(run, "fine-tune", request),
	);
	if (!adapted.fit.interrupted)
		await keep(run, RUN.teacherAdapter, `${run.base.name}/teacher`, adapted);
	return adapted;
}

/**
 * Trains the student on the run's speech without a teacher of ours between them, and leaves its adapter
 * in the run's folder: what a run of a teacher behind HTTP needs before it is exported.
 */
export async function learnDirectly(
	run: VoiceRun,
	request: AdaptRequest = {},
): Promise<Adapted> {
	const adapted = await adaptStudentDirectly(
		run.base,
		await readWeights(run.baseDir, "student"),
		{ examples: run.segments, speaker: run.speaker },
		options(run, "student", request),
	);
	if (!adapted.fit.interrupted)
		await keep(run, RUN.studentAdapter, `${run.base.name}/student`, adapted);
	return adapted;
}

/** The teacher's weights with the run's adapter in them. */
export async function adaptedTeacher(
	run: VoiceRun,
): Promise<Map<string, Tensor>> {
	const adapter = await readPeft(join(run.dir, RUN.teacherAdapter));
	return mergeIntoWeights(
		await readWeights(run.baseDir, "teacher"),
		adapter.tensors,
		adapter.scale,
	);
}

/** Distils the run's adapted teacher into a LoRA on the student base, and leaves that in the run's folder. */
export async function distil(
	run: VoiceRun,
	request: AdaptRequest = {},
): Promise<Adapted> {
	if (run.teacher !== undefined)
		throw new WattvoxError(
			"E_USAGE",
			`the student of ${run.dir} has learned from ${run.teacher} already: export it`,
		);
	const teacher = await adaptedTeacher(run);
	const adapted = await distilVoice(
		run.base,
		await readWeights(run.baseDir, "student"),
		teacher,
		{ examples: run.segments, speaker: run.speaker },
		await plannedSentences(run, teacher),
		options(run, "distil", request),
	);
	if (!adapted.fit.interrupted)
		await keep(run, RUN.studentAdapter, `${run.base.name}/student`, adapted);
	return adapted;
}

/** Sentences for the teacher to speak to the student, with the adapted teacher's durations. */
async function plannedSentences(
	run: VoiceRun,
	teacher: ReadonlyMap<string, Tensor>,
): Promise<Example[]> {
	const file = new URL("../../data/sentences-en.txt", import.meta.url);
	if (!run.base.language.startsWith("en")) return [];
	const lines = (await readFile(file, "utf8"))
		.split("\n")
		.filter((l) => l.trim());
	const index = new Map(run.base.symbols.map((s, i) => [s, i]));
	const engine = await createEngine(
		encodeModel(withWeights(textGraph(run.base.teacher), teacher)),
	);
	try {
		const out: Example[] = [];
		for (const [i, line] of lines.entries()) {
			const phones = toPhones(line).phones.map((p) => index.get(p) ?? -1);
			if (phones.includes(-1)) continue;
			const { log_duration } = await engine.run({
				phones: int64s(phones, [1, phones.length]),
				speaker: floats(run.speaker, [1, run.speaker.length]),
			} as never);
			out.push(
				plannedExample(
					`planned-${i}`,
					Int32Array.from(phones),
					log_duration?.data as Float32Array,
				),
			);
		}
		return out;
	} finally {
		await engine.dispose();
	}
}
