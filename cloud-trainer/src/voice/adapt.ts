import { WattvoxError } from "@wattvox/core";
import { type AcousticConfig, decoderReach } from "@wattvox/models";
import type { Tensor } from "@wattvox/onnx";
import { acousticBatch } from "../data/acoustic-batch.ts";
import { decoderBatch } from "../data/decoder-batch.ts";
import type { Example } from "../data/features.ts";
import { StepRandom } from "../data/random.ts";
import { acousticLoss, BLANK, decoderLoss } from "../graphs/acoustic.ts";
import { type Base, withWeights } from "../pretrain/base.ts";
import type { Adapted, AdaptOptions, VoiceData } from "./adapt-options.ts";
import { poolOf, recordingTerms } from "./levers.ts";
import { opening } from "./opening.ts";
import { amongEngines } from "./rows.ts";
import {
	draw,
	framesPerSecond,
	heldOutFeeds,
	lossOf,
	probesOf,
	split,
	trainAdapter,
} from "./train-adapter.ts";

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
	return amongEngines(o.headStart || o.decoderOnly, async () => {
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
		return trainAdapter(name, graph, o, {
			config,
			weights,
			voice,
			batch: async (step) => batch(step),
			validation: heldOutFeeds(held, edge, voice.speaker).map((feeds) =>
				fed(feeds, held),
			),
			terms: recordingTerms(o.variance, !content),
			sample: () => batch(0),
			probes: probesOf(held, shape, voice.speaker),
		});
	});
}
