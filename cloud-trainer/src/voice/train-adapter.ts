import { join } from "node:path";
import type { AcousticConfig } from "@wattvox/models";
import {
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
import type { Example } from "../data/features.ts";
import { StepRandom } from "../data/random.ts";
import type { AcousticLossOptions } from "../graphs/acoustic.ts";
import {
	fromPeft,
	injectLora,
	type LoraOptions,
	loraScale,
	toPeft,
} from "../lora/inject.ts";
import type { LossTerm } from "../losses/build.ts";
import type { Base } from "../pretrain/base.ts";
import { ADAMW } from "../train/adamw.ts";
import { fit } from "../train/fit.ts";
import { warmConstant, warmLinear } from "../train/schedule.ts";
import type { Stepper } from "../train/stepper.ts";
import {
	type Adapted,
	type AdaptOptions,
	VOICE_TARGETS,
	type VoiceData,
} from "./adapt-options.ts";
import { calibrate } from "./calibrate.ts";
import { LAST } from "./head-start.ts";
import { fitLevers, wholeAdapter, wholeSettings } from "./levers.ts";
import { bringLast } from "./opening.ts";
import { refitted } from "./refit.ts";
import { amongEngines } from "./rows.ts";

const loraOf = (o: AdaptOptions): LoraOptions => ({
	rank: o.rank,
	alpha: o.alpha,
	targets: o.targets ?? VOICE_TARGETS,
	seed: o.seed,
	...(o.rsLora && { rsLora: true }),
});

/** The prior's mean is what learns. */
export const lossOf = (o: AdaptOptions): AcousticLossOptions => ({
	variational: false,
	variance: o.variance,
});

/** Trains an adapter on `graph`, and finishes it as its options say. */
export async function trainAdapter(
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
	const whole = !result.interrupted;
	let loss: number | undefined;
	let adapter = trained;
	let parameters = sizeOf(result.parameters, adapter);
	await amongEngines(whole && (o.refit || o.calibrate), async () => {
		let hidden: readonly Float32Array[] | undefined;
		if (o.refit && whole) {
			const again = await refitted({
				...{ config, weights, adapter, scale, voice, graph },
				...{ validation: rest.validation, threads: o.threads },
			});
			({ adapter, hidden } = again);
			parameters = sizeOf(result.parameters, adapter);
			loss = again.values?.loss;
			if (again.values && loss !== undefined)
				o.onValidation?.(loss, result.steps, again.values);
		}
		if (o.calibrate && whole)
			await calibrate(
				...([config, weights, adapter, scale, voice, o.threads] as const),
				hidden,
			);
	});
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
export const draw = (
	pool: readonly Example[],
	o: AdaptOptions,
	random: StepRandom,
	step: number,
) =>
	o.anyLength
		? drawInTurn(pool, o.batch, o.seed, step)
		: drawSimilar(pool, o.batch, random);

/** Held-out sentences by themselves. */
export const probesOf = (
	held: readonly Example[],
	shape: BatchOptions,
	speaker: Float32Array,
) =>
	held.map((e) =>
		acousticBatch([e], shape, () => speaker, 0, new StepRandom(0, 0)),
	);

export const framesPerSecond = ({ audio }: Base): number =>
	audio.sampleRate / audio.hop;

/** The training segments, and those held out. */
export function split(examples: readonly Example[]): [Example[], Example[]] {
	return [
		examples.filter((e) => e.split === "train"),
		examples.filter((e) => e.split === "val"),
	];
}

/** Frames of a held-out crop, whatever a training's own crops are: what is compared has to be the same. */
const HELD_OUT_FRAMES = 200;

/** Fixed feeds over the held-out segments, a few crops of each. */
export function heldOutFeeds(
	held: readonly Example[],
	edge: number,
	speaker: Float32Array,
): Record<string, Tensor>[] {
	if (held.length === 0) return [];
	const random = new StepRandom(777, 0);
	const shape = {
		size: held.length,
		frames: HELD_OUT_FRAMES,
		edge,
		posteriorShare: 0,
	};
	return [0, 1].map(() => acousticBatch(held, shape, () => speaker, 0, random));
}
