import { join } from "node:path";
import { decoderReach, SPEAKER } from "@wattvox/models";
import { encodeModel, type Graph, type Tensor } from "@wattvox/onnx";
import { createEngine } from "@wattvox/runtime";
import {
	acousticBatch,
	drawSimilar,
	type EmbeddingOf,
} from "../data/acoustic-batch.ts";
import type { Example } from "../data/features.ts";
import {
	alignerBatch,
	speakerBatch,
	vocoderBatch,
	wholeMel,
} from "../data/other-batches.ts";
import { StepRandom } from "../data/random.ts";
import {
	acousticLoss,
	distillationLoss,
	teacherOutputs,
} from "../graphs/acoustic.ts";
import {
	alignerGraph,
	alignerLoss,
	speakerGraph,
	speakerLoss,
} from "../graphs/encoders.ts";
import { vocoderGraph, vocoderLoss } from "../graphs/vocoder.ts";
import { warmCosine } from "../train/schedule.ts";
import type { Stepper } from "../train/stepper.ts";
import { type Base, readWeights, withWeights, writeModelHalf } from "./base.ts";
import {
	KL_WEIGHTS,
	type KlWeights,
	runStage,
	type StageOptions,
	withParameters,
} from "./run.ts";

/** Frames of a vocoder crop, and how many at each end do not count. */
const CROP = 64;
const CROP_EDGE = 12;

const trainSplit = (examples: readonly Example[]) =>
	examples.filter((e) => e.split === "train");
const valSplit = (examples: readonly Example[]) =>
	examples.filter((e) => e.split === "val");

/** Trains the speaker encoder on who speaks; writes speaker.onnx. */
export async function trainSpeaker(
	dir: string,
	base: Base,
	examples: readonly Example[],
	o: StageOptions,
): Promise<void> {
	const groups = new Map<string, Example[]>();
	for (const e of trainSplit(examples))
		groups.set(e.speaker, [...(groups.get(e.speaker) ?? []), e]);
	const bySpeaker = [...groups.values()];
	const { parameters, interrupted } = await runStage(
		"speaker",
		o,
		speakerLoss(base.speaker, bySpeaker.length, o.seed),
		{
			schedule: warmCosine(2e-3, 50, o.steps),
			batch: (step) =>
				speakerBatch(bySpeaker, 32, new StepRandom(o.seed, step)),
		},
	);
	if (!interrupted)
		await writeModelHalf(
			join(dir, "speaker.onnx"),
			withParameters(speakerGraph(base.speaker, o.seed), parameters),
		);
}

/** Trains the aligner on the phone of each frame; writes aligner.onnx. */
export async function trainAligner(
	dir: string,
	base: Base,
	examples: readonly Example[],
	o: StageOptions,
): Promise<void> {
	const train = trainSplit(examples);
	const graph = alignerLoss(base.aligner, base.symbols.length, o.seed);
	const { parameters, interrupted } = await runStage("aligner", o, graph, {
		schedule: warmCosine(2e-3, 50, o.steps),
		batch: (step) => alignerBatch(train, 16, 160, new StepRandom(o.seed, step)),
		validation: validationFeeds(valSplit(examples), 4, (list, random) =>
			alignerBatch(list, 16, 160, random),
		),
	});
	if (!interrupted)
		await writeModelHalf(
			join(dir, "aligner.onnx"),
			withParameters(
				alignerGraph(base.aligner, base.symbols.length, o.seed),
				parameters,
			),
		);
}

/** Trains the vocoder on crops; writes vocoder.onnx. */
export async function trainVocoder(
	dir: string,
	base: Base,
	examples: readonly Example[],
	o: StageOptions,
): Promise<void> {
	const train = trainSplit(examples);
	const { parameters, interrupted } = await runStage(
		"vocoder",
		o,
		vocoderLoss(base.vocoder, CROP, CROP_EDGE, o.seed),
		{
			schedule: warmCosine(1.5e-3, 100, o.steps),
			batch: (step) =>
				vocoderBatch(train, 12, CROP, new StepRandom(o.seed, step)),
			validation: validationFeeds(valSplit(examples), 4, (list, random) =>
				vocoderBatch(list, 12, CROP, random),
			),
		},
	);
	if (!interrupted)
		await writeModelHalf(
			join(dir, "vocoder.onnx"),
			withParameters(vocoderGraph(base.vocoder, o.seed), parameters),
		);
}

function validationFeeds(
	examples: readonly Example[],
	count: number,
	make: (
		list: readonly Example[],
		random: StepRandom,
	) => Record<string, Tensor>,
): Record<string, Tensor>[] {
	return examples.length
		? Array.from({ length: count }, (_, i) =>
				make(examples, new StepRandom(4242, i)),
			)
		: [];
}

/** An embedding per utterance, [192] each, by the base's own speaker encoder. */
export async function embedAll(
	dir: string,
	base: Base,
	examples: readonly Example[],
	threads: number,
): Promise<Map<string, Float32Array>> {
	const graph = withWeights(
		speakerGraph(base.speaker, 0),
		await readWeights(dir, "speaker"),
	);
	const engine = await createEngine(encodeModel(graph), { threads });
	try {
		const out = new Map<string, Float32Array>();
		for (const e of examples) {
			const mel = wholeMel(e);
			const result = await engine.run({
				mel: {
					dtype: "float32",
					dims: mel.dims,
					data: mel.data as Float32Array,
				},
			});
			out.set(e.id, Float32Array.from(result.embedding?.data as Float32Array));
		}
		return out;
	} finally {
		await engine.dispose();
	}
}

/** The mean of unit vectors, at unit length again. */
export function meanEmbedding(list: readonly Float32Array[]): Float32Array {
	const sum = new Float32Array(SPEAKER);
	for (const v of list)
		for (let i = 0; i < SPEAKER; i++) sum[i] = (sum[i] ?? 0) + (v[i] ?? 0);
	const norm = Math.hypot(...sum) || 1;
	return sum.map((x) => x / norm);
}

/** An example's speaker as the mean of one to six of that speaker's utterances: what a short clip gives. */
export function drawnEmbedding(
	examples: readonly Example[],
	embeddings: ReadonlyMap<string, Float32Array>,
): EmbeddingOf {
	const bySpeaker = new Map<string, Float32Array[]>();
	for (const e of examples) {
		const v = embeddings.get(e.id);
		if (!v) continue;
		const list = bySpeaker.get(e.speaker);
		if (list) list.push(v);
		else bySpeaker.set(e.speaker, [v]);
	}
	return (e, random) => {
		const own = bySpeaker.get(e.speaker) ?? [];
		return meanEmbedding(
			Array.from({ length: 1 + random.int(6) }, () => random.pick(own)),
		);
	};
}

/**
 * The weight of KL at a step: the first one until 15 % of the steps, then in a straight line to the last
 * one at 65 %, while the reconstruction settles.
 */
export const klSchedule = (
	step: number,
	steps: number,
	{ first, last }: KlWeights = KL_WEIGHTS,
): number =>
	first +
	(last - first) * Math.min(1, Math.max(0, (step / steps - 0.15) / 0.5));

const SEGMENT = 200;

/** Trains the teacher on recordings; writes teacher.onnx. */
export async function trainTeacher(
	dir: string,
	base: Base,
	examples: readonly Example[],
	embeddings: ReadonlyMap<string, Float32Array>,
	o: StageOptions,
): Promise<void> {
	const train = trainSplit(examples);
	const embeddingOf = drawnEmbedding(examples, embeddings);
	const shape = {
		size: 12,
		frames: SEGMENT,
		edge: decoderReach(base.teacher),
		posteriorShare: 0.5,
	};
	const graph = acousticLoss(base.teacher, o.seed);
	const { parameters, interrupted } = await runStage("teacher", o, graph, {
		schedule: warmCosine(1.5e-3, 150, o.steps),
		batch: (step) => {
			const random = new StepRandom(o.seed, step);
			return acousticBatch(
				drawSimilar(train, shape.size, random),
				shape,
				embeddingOf,
				klSchedule(step, o.steps, o.kl),
				random,
			);
		},
		validation: validationFeeds(valSplit(examples), 4, (list, random) =>
			acousticBatch(
				drawSimilar(list, 12, random),
				{ ...shape, posteriorShare: 0 },
				embeddingOf,
				1,
				random,
			),
		),
	});
	if (!interrupted)
		await writeModelHalf(
			join(dir, "teacher.onnx"),
			withParameters(teacherOutputs(base.teacher, o.seed), parameters),
		);
}

/** Distils the student base from the teacher base; writes student.onnx. */
export async function distilStudent(
	dir: string,
	base: Base,
	examples: readonly Example[],
	embeddings: ReadonlyMap<string, Float32Array>,
	o: StageOptions,
): Promise<void> {
	const train = trainSplit(examples);
	const embeddingOf = drawnEmbedding(examples, embeddings);
	const shape = {
		size: 16,
		frames: 160,
		edge: decoderReach(base.student),
		posteriorShare: 0.3,
	};
	const teacher = withWeights(
		teacherOutputs(base.teacher, o.seed),
		await readWeights(dir, "teacher"),
	);
	let stepper: Stepper | undefined;
	const graph: Graph = distillationLoss(base.student, o.seed, 0.5);
	const { parameters, interrupted } = await runStage("student", o, graph, {
		schedule: warmCosine(2e-3, 100, o.steps),
		programs: { teacher: encodeModel(teacher) },
		onStart: (s) => {
			stepper = s;
		},
		batch: async (step) => {
			const random = new StepRandom(o.seed, step);
			const feeds = acousticBatch(
				drawSimilar(train, shape.size, random),
				shape,
				embeddingOf,
				klSchedule(step, o.steps, o.kl),
				random,
			);
			return { ...feeds, ...(await teacherSays(stepper as Stepper, feeds)) };
		},
	});
	if (!interrupted)
		await writeModelHalf(
			join(dir, "student.onnx"),
			withParameters(teacherOutputs(base.student, o.seed), parameters),
		);
}

/** The teacher's outputs on a batch, decoding its prior's mean. */
export async function teacherSays(
	stepper: Stepper,
	feeds: Record<string, Tensor>,
): Promise<Record<string, Tensor>> {
	const off = feeds.use_posterior as Tensor;
	const { outputs } = await stepper.run("teacher", {
		...feeds,
		use_posterior: { ...off, data: new Float32Array(off.data.length) },
	});
	return outputs;
}
