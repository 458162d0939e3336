import type { Graph, Tensor } from "@wattvox/onnx";
import { floats } from "@wattvox/onnx";
import type { Example } from "../data/features.ts";
import { StepRandom } from "../data/random.ts";
import {
	cropExample,
	SAMPLER,
	type SamplerOptions,
	sampleStretches,
} from "../data/segment-sampler.ts";
import { CONTENT_VALUE, DISTIL } from "../graphs/acoustic.ts";
import type { LoraOptions } from "../lora/inject.ts";
import { peftKey } from "../lora/pair.ts";
import { escapeRegExp } from "../lora/targets.ts";
import type { LossTerm } from "../losses/build.ts";
import type { DriftOptions, DriftReport } from "../train/drift.ts";
import type { FitOptions } from "../train/fit.ts";
import { loraPlus } from "../train/groups.ts";
import type { Feeds } from "../train/parts.ts";
import type { RecomputePlan } from "../train/plan.ts";

/** Switches of an adaptation; each is off when absent. */
export interface VoiceLevers {
	/** Compute each batch in so many parts. */
	accumulate?: number;
	/** Bytes that training may take: activations are computed again as far as needed. */
	memory?: number;
	/** Products in half precision, with a dynamic loss scale. */
	precision?: "single" | "mixed";
	/** Share of the adapters' inputs that a step does without. */
	dropout?: number;
	/** Scale the pairs by alpha/sqrt(rank). */
	rsLora?: boolean;
	/** Factor of B's learning rate (LoRA+). */
	loraPlus?: number;
	/** Train the weights themselves in place of pairs; the adapter then has their full rank. */
	full?: boolean;
	/** Which weights, in place of all products. */
	targets?: string;
	/** Draw so many batches and repeat them: what lies before the adapters is then computed once. */
	batches?: number;
	/**
	 * Decay of a moving average of what is trained, judged and kept in its place; the rate then stays at
	 * its highest, since the average does what a falling rate is for.
	 */
	average?: number;
	/** Solve the last layer on the clip in closed form before the first step. */
	headStart?: boolean;
	/** Solve it again when training is over; kept unless held-out speech says otherwise. */
	refit?: boolean;
	/** Leave the text side as it is: its rows are computed once per sentence, and the decoder learns alone. */
	decoderOnly?: boolean;
	/** Sentences in turn, of any length in a batch, in place of similar ones drawn at random. */
	anyLength?: boolean;
	/** Draw stretches of 1 to 5 s from the recordings anew in each epoch. */
	sampler?: boolean | SamplerOptions;
	/** Largest norm of all gradients together; 1 when absent. */
	gradientClip?: number;
	/** Cosine of the sentences' content to the base's: below `warn` it is told, below `stop` training ends. */
	drift?: { warn: number; stop?: number };
	onDrift?: (report: DriftReport) => void;
	onPlan?: (plan: RecomputePlan) => void;
}

/** What `fit` takes of the switches. */
export function fitLevers(
	o: VoiceLevers & { seed: number },
	graph: Graph,
	terms: readonly LossTerm[],
	probes: readonly Feeds[],
): Partial<FitOptions> {
	const content = graph.metadata[CONTENT_VALUE];
	const drift: DriftOptions | undefined =
		o.drift && content !== undefined && probes.length > 0
			? {
					...o.drift,
					output: content,
					feeds: probes,
					...(o.onDrift && { onDrift: o.onDrift }),
				}
			: undefined;
	const { batches } = o;
	return {
		terms,
		...(o.accumulate !== undefined && { accumulate: o.accumulate }),
		...(o.memory !== undefined && { memory: o.memory }),
		...(o.precision && { precision: o.precision }),
		...(o.dropout && { dropout: { share: o.dropout, seed: o.seed } }),
		...(o.average !== undefined && { average: o.average }),
		...(o.loraPlus && { groups: [loraPlus(o.loraPlus)] }),
		...(batches && { batchKey: (step: number) => String(step % batches) }),
		...(o.onPlan && { onPlan: o.onPlan }),
		...(drift && { drift }),
	};
}

const counted = (mask: string) => (feeds: Readonly<Feeds>) => {
	let sum = 0;
	for (const v of feeds[mask]?.data ?? []) sum += Number(v);
	return sum;
};

/**
 * The terms of training on recordings without the posterior, as parts of a batch weigh in them.
 * @param durations whether the text side learns too
 */
export const recordingTerms = (
	variance: number,
	durations = true,
): LossTerm[] => [
	{ value: "loss.mel", weight: 1, count: counted("loss_mask") },
	...(durations
		? [{ value: "loss.duration", weight: 1, count: counted("phone_mask") }]
		: []),
	...(variance > 0 ? [{ value: "loss.variance", weight: variance }] : []),
];

/** The terms of distillation from a teacher alone. */
export const distillationTerms = (variance: number): LossTerm[] => [
	{
		value: "loss.t.content",
		weight: DISTIL.content,
		count: counted("phone_mask"),
	},
	{ value: "loss.t.attention", weight: DISTIL.attention },
	{ value: "loss.t.mel", weight: DISTIL.mel, count: counted("loss_mask") },
	{
		value: "loss.t.duration",
		weight: DISTIL.duration,
		count: counted("phone_mask"),
	},
	{ value: "loss.t.prior", weight: DISTIL.prior, count: counted("loss_mask") },
	...(variance > 0 ? [{ value: "loss.t.variance", weight: variance }] : []),
];

/** What a step draws its sentences from: the examples, or stretches of them that change with the epoch. */
export function poolOf(
	examples: readonly Example[],
	o: VoiceLevers & { batch: number; seed: number },
	framesPerSecond: number,
): (step: number) => readonly Example[] {
	if (!o.sampler) return () => examples;
	const settings = o.sampler === true ? SAMPLER : o.sampler;
	const stepsPerEpoch = Math.max(1, Math.ceil(examples.length / o.batch));
	let [current, pool] = [-1, examples];
	return (step) => {
		const epoch = Math.floor(step / stepsPerEpoch);
		if (epoch !== current) {
			const random = new StepRandom(o.seed, -1 - epoch);
			pool = examples.flatMap((e) =>
				sampleStretches(
					e.frames / framesPerSecond,
					() => random.uniform(),
					settings,
				).map((s) => cropExample(e, s, framesPerSecond)),
			);
			current = epoch;
		}
		return pool;
	};
}

/** Settings under which {@link wholeAdapter}'s pairs say the change itself: nothing scales it. */
export function wholeSettings(
	lora: LoraOptions,
	adapter: ReadonlyMap<string, Tensor>,
	adapted: readonly string[],
): LoraOptions {
	const ranks = Object.fromEntries(
		adapted.map((name) => {
			const a = adapter.get(peftKey({ module: name, kind: "matmul" }, "A"));
			return [escapeRegExp(name), a?.dims[0] ?? lora.rank];
		}),
	);
	return {
		...lora,
		alpha: lora.rank,
		rsLora: false,
		rankPattern: ranks,
		alphaPattern: ranks,
	};
}

/**
 * The change of whole weights as an adapter of full rank: one factor is the change, the other the
 * identity. It says the same as the weights, loads wherever adapters do, and is as large as they are.
 */
export function wholeAdapter(
	before: ReadonlyMap<string, Tensor>,
	after: ReadonlyMap<string, Tensor>,
): Map<string, Tensor> {
	const out = new Map<string, Tensor>();
	for (const [name, tensor] of after) {
		const [rows = 0, cols = 0] = tensor.dims;
		const old = before.get(name)?.data as Float32Array;
		const site = { module: name, kind: "matmul" as const };
		// B A = change^T, in PEFT's layout: A [r, in], B [out, r].
		const change = new Float32Array(rows * cols);
		for (let i = 0; i < rows; i++)
			for (let j = 0; j < cols; j++)
				change[j * rows + i] =
					Number(tensor.data[i * cols + j]) - (old[i * cols + j] ?? 0);
		const one = (n: number) => {
			const data = new Float32Array(n * n);
			for (let i = 0; i < n; i++) data[i * n + i] = 1;
			return floats(data, [n, n]);
		};
		const wide = floats(change, [cols, rows]);
		out.set(peftKey(site, "A"), rows <= cols ? one(rows) : wide);
		out.set(peftKey(site, "B"), rows <= cols ? wide : one(cols));
	}
	return out;
}
