import { join } from "node:path";
import { WattvoxError } from "@wattvox/core";
import { type AcousticConfig, AUDIO, decoderReach } from "@wattvox/models";
import {
	encodeModel,
	type Graph,
	mergeIntoWeights,
	savedKey,
	type Tensor,
} from "@wattvox/onnx";
import {
	acousticBatch,
	type BatchOptions,
	drawInTurn,
	drawSimilar,
} from "../data/acoustic-batch.ts";
import { decoderBatch } from "../data/decoder-batch.ts";
import type { Example } from "../data/features.ts";
import { StepRandom } from "../data/random.ts";
import {
	type AcousticLossOptions,
	acousticLoss,
	BLANK,
	decoderLoss,
	distillationLoss,
	teacherOutputs,
} from "../graphs/acoustic.ts";
import {
	fromPeft,
	injectLora,
	type LoraOptions,
	loraScale,
	toPeft,
} from "../lora/inject.ts";
import type { LossTerm } from "../losses/build.ts";
import { type Base, withWeights } from "../pretrain/base.ts";
import { teacherSays } from "../pretrain/stages.ts";
import { ADAMW } from "../train/adamw.ts";
import { type FitResult, fit, type StepReport } from "../train/fit.ts";
import { warmConstant, warmLinear } from "../train/schedule.ts";
import type { Stepper } from "../train/stepper.ts";
import { calibrate } from "./calibrate.ts";
import { LAST } from "./head-start.ts";
import {
	distillationTerms,
	fitLevers,
	poolOf,
	recordingTerms,
	type VoiceLevers,
	wholeAdapter,
	wholeSettings,
} from "./levers.ts";
import { bringLast, opening } from "./opening.ts";
import { refitted } from "./refit.ts";

/** Which weights a voice adapts: every product of the text side and of the decoder. */
export const VOICE_TARGETS = /^(text|decoder)\..*\.w$/;

/** Settings of one adaptation. */
export interface AdaptOptions extends VoiceLevers {
	/** Folder for checkpoint and log. */
	work: string;
	steps: number;
	rank: number;
	alpha: number;
	learningRate: number;
	/** Weight of the spread of mel-cepstra beside their mean error. */
	variance: number;
	/** Match the spread of mel-cepstra to the clip's in the last layer when training is over. */
	calibrate: boolean;
	/** Sentences per step. */
	batch: number;
	/** Frames per segment. */
	frames: number;
	/** Validate every so many steps; training stops once `patience` validations in a row were no better. */
	validateEvery: number;
	patience: number;
	threads: number;
	seed: number;
	/** Told when graphs, weights and sessions are there, before the first batch. */
	onReady?: () => void;
	onStep?: (report: StepReport) => void;
	onValidation?: (
		loss: number,
		step: number,
		values: Record<string, number>,
	) => void;
	signal?: AbortSignal;
}

export const ADAPT: Omit<AdaptOptions, "work" | "threads"> = {
	steps: 160,
	rank: 16,
	alpha: 32,
	learningRate: 2e-3,
	variance: 0.1,
	calibrate: true,
	batch: 8,
	frames: 200,
	validateEvery: 20,
	patience: 3,
	seed: 1,
};

/** An adaptation's end. */
export interface Adapted {
	/** PEFT tensors. */
	adapter: Map<string, Tensor>;
	/** Names of the adapted weights. */
	adapted: string[];
	lora: LoraOptions;
	/** Trained numbers. */
	parameters: number;
	fit: FitResult;
}

const loraOf = (o: AdaptOptions): LoraOptions => ({
	rank: o.rank,
	alpha: o.alpha,
	targets: o.targets ?? VOICE_TARGETS,
	seed: o.seed,
	...(o.rsLora && { rsLora: true }),
});

/** The prior's mean is what learns. */
const lossOf = (o: AdaptOptions): AcousticLossOptions => ({
	variational: false,
	variance: o.variance,
});

/** What training one voice needs of its clip. */
export interface VoiceData {
	examples: readonly Example[];
	/** The speaker's embedding, [192]. */
	speaker: Float32Array;
}

async function adapt(
	name: string,
	graph: Graph,
	o: AdaptOptions,
	rest: {
		/** The model that learns, and the voice that it learns. */
		config: AcousticConfig;
		/** All of its weights, those that `graph` leaves out too. */
		weights: ReadonlyMap<string, Tensor>;
		voice: VoiceData;
		batch: (step: number) => Promise<Record<string, Tensor>>;
		validation: readonly Record<string, Tensor>[];
		programs?: Record<string, Uint8Array>;
		onStart?: (stepper: Stepper) => void;
		initial?: ReadonlyMap<string, Tensor>;
		/** How parts of a batch weigh in the loss. */
		terms: readonly LossTerm[];
		/** A batch's sizes, for `memory`. */
		sample: () => Record<string, Tensor>;
		/** Sentences by themselves, for `drift`. */
		probes: readonly Record<string, Tensor>[];
	},
): Promise<Adapted> {
	const lora = loraOf(o);
	const injected = injectLora(graph, lora);
	const { batches } = o;
	const result = await fit({
		graph: o.full ? graph : injected.graph,
		loss: "loss",
		trainable: o.full ? injected.adapted : injected.trainable,
		...fitLevers(o, graph, rest.terms, rest.probes),
		...(o.memory !== undefined && { sample: rest.sample() }),
		steps: o.steps,
		schedule:
			o.average === undefined
				? warmLinear(o.learningRate, 20, o.steps)
				: warmConstant(o.learningRate, 10),
		threads: o.threads,
		adamw: { ...ADAMW, weightDecay: 0, clip: o.gradientClip ?? ADAMW.clip },
		validateEvery: o.validateEvery,
		keepBest: true,
		patience: { validations: o.patience, gain: 0.002 },
		...(o.onValidation ? { onValidation: o.onValidation } : {}),
		checkpoint: join(o.work, `${name}${o.full ? "-full" : ""}.ckpt`),
		checkpointEvery: 50,
		log: join(o.work, `${name}.log.jsonl`),
		...(o.onStep ? { onStep: o.onStep } : {}),
		...(o.signal ? { signal: o.signal } : {}),
		batch: batches ? (step) => rest.batch(step % batches) : rest.batch,
		validation: rest.validation,
		...(rest.programs ? { programs: rest.programs } : {}),
		onStart: (stepper) => {
			rest.onStart?.(stepper);
			o.onReady?.();
		},
		...(rest.initial
			? { initial: fromPeft(rest.initial, injected.adapted) }
			: {}),
	});
	const trained = o.full
		? wholeAdapter(graph.initializers, result.parameters)
		: toPeft(result.parameters, injected.adapted);
	const settings = o.full
		? wholeSettings(lora, trained, injected.adapted)
		: lora;
	const { config, weights, voice } = rest;
	const scale = loraScale(settings);
	if (o.headStart) {
		const whole = mergeIntoWeights(weights, trained, scale);
		const of = (name: string) => whole.get(name) as Tensor;
		bringLast(trained, of(LAST.weight), of(LAST.bias));
	}
	const again =
		o.refit && !result.interrupted
			? await refitted({
					...{ config, weights, adapter: trained, scale, voice, graph },
					...{ validation: rest.validation, threads: o.threads },
				})
			: undefined;
	const loss = again?.values?.loss;
	if (again?.values && loss !== undefined)
		o.onValidation?.(loss, result.steps, again.values);
	const adapter = again?.adapter ?? trained;
	const parameters = sizeOf(result.parameters, adapter);
	if (o.calibrate && !result.interrupted)
		await calibrate(config, weights, adapter, scale, voice, o.threads);
	return {
		adapter,
		adapted: injected.adapted,
		lora: settings,
		parameters,
		fit: {
			...result,
			...(loss !== undefined && { best: { step: result.steps, loss } }),
		},
	};
}

/** Trained numbers: the parameters', with the last layer whole in place of its pair where it was solved. */
function sizeOf(
	parameters: ReadonlyMap<string, Tensor>,
	adapter: ReadonlyMap<string, Tensor>,
): number {
	let sum = 0;
	const solved = [LAST.weight, LAST.bias].flatMap(
		(name) => adapter.get(savedKey(name)) ?? [],
	);
	for (const t of solved) sum += t.data.length;
	for (const [name, t] of parameters)
		if (!solved.length || !name.startsWith(LAST.weight)) sum += t.data.length;
	return sum;
}

/** Draws a batch's sentences. */
const draw = (
	pool: readonly Example[],
	o: AdaptOptions,
	random: StepRandom,
	step: number,
) =>
	o.anyLength
		? drawInTurn(pool, o.batch, o.seed, step)
		: drawSimilar(pool, o.batch, random);

/** Held-out sentences by themselves. */
const probesOf = (
	held: readonly Example[],
	shape: BatchOptions,
	speaker: Float32Array,
) =>
	held.map((e) =>
		acousticBatch([e], shape, () => speaker, 0, new StepRandom(0, 0)),
	);

const framesPerSecond = ({ audio }: Base): number =>
	audio.sampleRate / audio.hop;

function split(examples: readonly Example[]): [Example[], Example[]] {
	return [
		examples.filter((e) => e.split === "train"),
		examples.filter((e) => e.split === "val"),
	];
}

/** Fixed feeds over the held-out segments, a few crops of each. */
function heldOutFeeds(
	held: readonly Example[],
	o: AdaptOptions,
	edge: number,
	speaker: Float32Array,
): Record<string, Tensor>[] {
	if (held.length === 0) return [];
	const random = new StepRandom(777, 0);
	const shape = {
		size: held.length,
		frames: o.frames,
		edge,
		posteriorShare: 0,
	};
	return [0, 1].map(() => acousticBatch(held, shape, () => speaker, 0, random));
}

/** Fine-tunes the teacher on a voice with LoRA; the prior's mean is what learns, the posterior is left out. */
export function adaptTeacher(
	base: Base,
	weights: ReadonlyMap<string, Tensor>,
	voice: VoiceData,
	o: AdaptOptions,
): Promise<Adapted> {
	return adaptOnRecordings(
		"teacher-lora",
		weights,
		base.teacher,
		voice,
		o,
		framesPerSecond(base),
	);
}

/** The same on the student: the direct adapter that a distilled one must beat. */
export function adaptStudentDirectly(
	base: Base,
	weights: ReadonlyMap<string, Tensor>,
	voice: VoiceData,
	o: AdaptOptions,
): Promise<Adapted> {
	return adaptOnRecordings(
		"student-direct",
		weights,
		base.student,
		voice,
		o,
		framesPerSecond(base),
	);
}

async function adaptOnRecordings(
	name: string,
	base: ReadonlyMap<string, Tensor>,
	config: AcousticConfig,
	voice: VoiceData,
	o: AdaptOptions,
	perSecond: number,
): Promise<Adapted> {
	if (o.decoderOnly && o.sampler)
		throw new WattvoxError(
			"E_USAGE",
			"the decoder alone learns from whole sentences: leave the sampler out",
		);
	const edge = decoderReach(config);
	const [train, held] = split(voice.examples);
	const shape = { size: o.batch, frames: o.frames, edge, posteriorShare: 0 };
	const pool = poolOf(train, o, perSecond);
	const { weights, content } = await opening(config, base, voice, o);
	const loss = content ? decoderLoss : acousticLoss;
	const graph = withWeights(loss(config, BLANK, lossOf(o)), weights);
	const fed = (feeds: Record<string, Tensor>, of: readonly Example[]) =>
		content ? decoderBatch(feeds, of, content) : feeds;
	const batch = (step: number) => {
		const random = new StepRandom(o.seed, step);
		const drawn = draw(pool(step), o, random, step);
		return fed(
			acousticBatch(drawn, shape, () => voice.speaker, 0, random),
			drawn,
		);
	};
	return adapt(name, graph, o, {
		config,
		weights,
		voice,
		batch: async (step) => batch(step),
		validation: heldOutFeeds(held, o, edge, voice.speaker).map((feeds) =>
			fed(feeds, held),
		),
		terms: recordingTerms(o.variance, !content),
		sample: () => batch(0),
		probes: probesOf(held, shape, voice.speaker),
	});
}

/**
 * Distils an adapted teacher into a LoRA on the frozen student base. Besides the clip's own segments it
 * learns from sentences that only the teacher has "spoken": a minute of speech does not hold every
 * sound in every place, the teacher's idea of the voice does.
 * @param teacher the teacher's weights with its adapter merged
 * @param extra sentences with the teacher's own durations (their mel is made by the teacher as it goes)
 */
export async function distilVoice(
	base: Base,
	studentWeights: ReadonlyMap<string, Tensor>,
	teacher: ReadonlyMap<string, Tensor>,
	voice: VoiceData,
	extra: readonly Example[],
	o: AdaptOptions,
): Promise<Adapted> {
	if (o.decoderOnly)
		throw new WattvoxError(
			"E_USAGE",
			"a distillation teaches the text side too: leave --decoder-only out",
		);
	const [train, held] = split(voice.examples);
	const edge = decoderReach(base.student);
	const { weights } = await opening(base.student, studentWeights, voice, o);
	const shape = { size: o.batch, frames: o.frames, edge, posteriorShare: 0 };
	const source = withWeights(
		teacherOutputs(base.teacher, BLANK, false),
		teacher,
	);
	const graph = withWeights(
		distillationLoss(base.student, BLANK, 0, lossOf(o)),
		weights,
	);
	let stepper: Stepper | undefined;
	const says = async (feeds: Record<string, Tensor>) => ({
		...feeds,
		...(await teacherSays(stepper as Stepper, feeds)),
	});
	// Held-out segments are judged against the recording itself, so the teacher's part is fed as well.
	const validation: Record<string, Tensor>[] = heldOutFeeds(
		held,
		o,
		edge,
		voice.speaker,
	);
	let judged = false;
	const own = poolOf(train, o, framesPerSecond(base));
	const batch = (step: number) => {
		const random = new StepRandom(o.seed, step);
		const pool = extra.length && step % 2 ? extra : own(step);
		return acousticBatch(
			draw(pool, o, random, step),
			shape,
			() => voice.speaker,
			0,
			random,
		);
	};
	return adapt("student-lora", graph, o, {
		config: base.student,
		weights,
		voice,
		programs: { teacher: encodeModel(source) },
		onStart: (s) => {
			stepper = s;
		},
		batch: async (step) => {
			// Before the first step of this call, which after a resume is not step 0.
			if (!judged)
				for (const [i, feeds] of validation.entries())
					validation[i] = await says(feeds);
			judged = true;
			return says(batch(step));
		},
		validation,
		terms: distillationTerms(o.variance),
		sample: () => batch(0),
		probes: probesOf(held, shape, voice.speaker),
	});
}

/** Sentences as examples whose durations a model gave and whose mel nobody knows yet. */
export function plannedExample(
	id: string,
	phones: Int32Array,
	logDuration: Float32Array,
): Example {
	const durations = Int32Array.from(logDuration, (l) =>
		Math.max(1, Math.round(Math.exp(l) - 1)),
	);
	const frames = durations.reduce((a, d) => a + d, 0);
	return {
		id,
		speaker: "target",
		split: "train",
		phones,
		durations,
		frames,
		mel: new Float32Array(frames * AUDIO.nMels),
		wave: new Int16Array(0),
	};
}
