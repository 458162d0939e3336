import { WattvoxError } from "@wattvox/core";
import { AUDIO, decoderReach } from "@wattvox/models";
import { encodeModel, type Tensor } from "@wattvox/onnx";
import { acousticBatch } from "../data/acoustic-batch.ts";
import type { Example } from "../data/features.ts";
import { StepRandom } from "../data/random.ts";
import { BLANK, distillationLoss, teacherOutputs } from "../graphs/acoustic.ts";
import { type Base, withWeights } from "../pretrain/base.ts";
import { teacherSays } from "../pretrain/stages.ts";
import type { Stepper } from "../train/stepper.ts";
import type { Adapted, AdaptOptions, VoiceData } from "./adapt-options.ts";
import { distillationTerms, poolOf } from "./levers.ts";
import { opening } from "./opening.ts";
import {
	draw,
	framesPerSecond,
	heldOutFeeds,
	lossOf,
	probesOf,
	split,
	trainAdapter,
} from "./train-adapter.ts";

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
	return trainAdapter("student-lora", graph, o, {
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
