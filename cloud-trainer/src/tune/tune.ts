import { readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { ensureWritableDir, WattvoxError, writeAtomic } from "@wattvox/core";
import {
	type Graph,
	hoistConstants,
	inferTypes,
	readModel,
	type Tensor,
	widenWeights,
	writeModel,
} from "@wattvox/onnx";
import { mergeAdapter } from "../lora/attach.ts";
import { type AdaptedSite, injectLora, toPeft } from "../lora/inject.ts";
import { readPeft, writePeft } from "../lora/peft.ts";
import { matches, someOf } from "../lora/targets.ts";
import { withLosses } from "../losses/index.ts";
import { type FitOptions, type FitResult, fit } from "../train/fit.ts";
import {
	allBatches,
	type BatchSource,
	feedsFor,
	openBatches,
} from "./batches.ts";
import { type TuneSettings, type TuneSpec, tuneSettings } from "./spec.ts";
import { weightsOf } from "./weights.ts";

/** Files of a fine-tuning's folder. */
export const TUNE = {
	settings: "fit.json",
	checkpoint: "fit.ckpt",
	log: "fit.log.jsonl",
	ledger: "energy.jsonl",
	adapter: "adapter",
	model: "model.onnx",
} as const;

/** What a fine-tuning needs. */
export interface TuneOptions
	extends Pick<
		FitOptions,
		"threads" | "signal" | "onStep" | "onValidation" | "onPlan" | "metric"
	> {
	/** The ONNX file. */
	model: string;
	/** A folder of safetensors batches, or a module; see {@link openBatches}. */
	data: string;
	/** Held-out batches of the same kinds. */
	validation?: string | undefined;
	/** Folder for all that comes out; an interrupted run in it is continued. */
	out: string;
	spec: TuneSpec;
	/** With an adapter: the model with it merged as well. */
	merge?: boolean;
	/** Told before the first step. */
	onStart?: (about: TuneStart) => void;
}

/** What will be trained. */
export interface TuneStart {
	/** Module paths with pairs, or names of whole weights. */
	trained: string[];
	/** Numbers that are trained, and those of the model. */
	parameters: number;
	whole: number;
	/** Batches of one epoch, where that is known. */
	epochSteps: number | undefined;
	steps: number;
}

/** What a fine-tuning ends with. Nothing but the checkpoint is written when it was interrupted. */
export interface Tuned extends TuneStart {
	fit: FitResult;
	/** PEFT folder. */
	adapter?: string;
	/** ONNX file: whole weights, or the adapter merged. */
	model?: string;
}

/**
 * Fine-tunes any ONNX model whose operators have gradients on batches from files: pairs or whole
 * weights, with losses, schedule and groups as data. What is written is best on the held-out batches,
 * or last where there are none. The same call goes on with a run that was interrupted.
 * @throws WattvoxError E_USAGE, E_MODEL, E_FILE_MISSING, E_FILE_FORMAT, E_OP_UNSUPPORTED
 */
export async function tuneModel(o: TuneOptions): Promise<Tuned> {
	const s = tuneSettings(o.spec);
	const graph = hoistConstants(widenWeights(await readModel(o.model)));
	const made = trainables(graph, s);
	const inputs = inputsOf(made.graph, s);
	const batches = await openBatches(o.data, s.seed);
	const held =
		o.validation === undefined ? [] : await allBatches(o.validation, s.seed);
	const validation = held.map((b, i) =>
		feedsFor(inputs, b, `held-out batch ${i + 1}`),
	);
	await ensureWritableDir(o.out);
	await keepSettings(o, s);
	const start = startOf(graph, made, batches, s);
	o.onStart?.(start);
	const done = await fit({
		...settingsOf(s),
		...hooksOf(o),
		graph: made.graph,
		trainable: made.trainable,
		validation,
		keepBest: validation.length > 0 || o.metric !== undefined,
		checkpoint: join(o.out, TUNE.checkpoint),
		checkpointEvery: s.validateEvery,
		log: join(o.out, TUNE.log),
		batch: async (step) =>
			feedsFor(
				inputs,
				await batches.at(step),
				batches.key(step) ?? `batch ${step + 1}`,
			),
		...(s.cache > 0 && {
			batchKey: (step: number) => batches.key(step),
			cacheBytes: s.cache,
		}),
	});
	if (done.interrupted) return { ...start, fit: done };
	return { ...start, fit: done, ...(await written(o, s, graph, made, done)) };
}

interface Trainables {
	graph: Graph;
	trainable: string[];
	sites: AdaptedSite[];
}

const alphaOf = (s: TuneSettings): number => s.alpha ?? 2 * s.rank;

function trainables(graph: Graph, s: TuneSettings): Trainables {
	if (!s.full)
		return injectLora(graph, {
			rank: s.rank,
			alpha: alphaOf(s),
			rsLora: s.rslora,
			targets: s.targets,
			rankPattern: s.rankPattern,
			alphaPattern: s.alphaPattern,
			seed: s.seed,
		});
	const all = weightsOf(graph);
	const trainable = all.filter((name) =>
		matches(s.targets, name, name.replace(/\.(weight|bias)$/, "")),
	);
	if (trainable.length === 0)
		throw new WattvoxError(
			"E_MODEL",
			`no weight matches ${[s.targets].flat().join(", ")}; the model's are: ${someOf(all)}`,
		);
	return { graph, trainable, sites: [] };
}

/** The inputs that batches feed: the model's and the losses'. */
function inputsOf(graph: Graph, s: TuneSettings): Graph["inputs"] {
	if (s.losses) return withLosses(graph, s.losses).graph.inputs;
	const shape = inferTypes(graph).get(s.loss)?.shape;
	const own = graph.outputs.some((v) => v.name === s.loss);
	if (!own || shape?.some((d) => d !== 1))
		throw new WattvoxError(
			"E_USAGE",
			`the model has no scalar output ${s.loss}: give "losses" in the recipe (its outputs: ${graph.outputs.map((v) => v.name).join(", ")})`,
		);
	return graph.inputs;
}

/** @throws WattvoxError E_USAGE when the folder holds a run with other settings */
async function keepSettings(o: TuneOptions, s: TuneSettings): Promise<void> {
	const path = join(o.out, TUNE.settings);
	const text = `${JSON.stringify({ model: basename(o.model), ...s }, null, 2)}\n`;
	const known = await readFile(path, "utf8").catch(() => undefined);
	if (known !== undefined && known !== text)
		throw new WattvoxError(
			"E_USAGE",
			`${o.out} holds a run with other settings (${TUNE.settings}): give another --out, or remove it`,
		);
	if (known === undefined) await writeAtomic(path, text);
}

function startOf(
	graph: Graph,
	{ graph: trained, trainable, sites }: Trainables,
	batches: BatchSource,
	s: TuneSettings,
): TuneStart {
	const size = (g: Graph, names: Iterable<string>) =>
		[...names].reduce(
			(sum, name) => sum + (g.initializers.get(name)?.data.length ?? 0),
			0,
		);
	const floats = [...graph.initializers].filter(([, t]) =>
		/float/.test(t.dtype),
	);
	return {
		trained: sites.length ? sites.map((site) => site.module) : trainable,
		parameters: size(trained, trainable),
		whole: size(
			graph,
			floats.map(([name]) => name),
		),
		epochSteps: batches.count,
		steps: s.steps,
	};
}

/** What the settings say, as `fit` takes it. */
function settingsOf(s: TuneSettings) {
	return {
		steps: s.steps,
		schedule: s.schedule,
		adamw: s.adamw,
		groups: s.groups.map(({ match, rate, weightDecay }) => ({
			match,
			...(rate !== undefined && { rate }),
			...(weightDecay !== undefined && { weightDecay }),
		})),
		validateEvery: s.validateEvery,
		accumulate: s.accumulate,
		precision: s.precision,
		...(s.losses ? { losses: s.losses } : { loss: s.loss }),
		...(s.patience > 0 && {
			patience: { validations: s.patience, gain: s.gain },
		}),
		...(s.memory !== undefined && { memory: s.memory }),
		...(s.dropout > 0 && { dropout: { share: s.dropout, seed: s.seed } }),
	};
}

const hooksOf = (o: TuneOptions) => ({
	...(o.threads !== undefined && { threads: o.threads }),
	...(o.signal && { signal: o.signal }),
	...(o.onStep && { onStep: o.onStep }),
	...(o.onValidation && { onValidation: o.onValidation }),
	...(o.onPlan && { onPlan: o.onPlan }),
	...(o.metric && { metric: o.metric }),
});

async function written(
	o: TuneOptions,
	s: TuneSettings,
	graph: Graph,
	{ sites }: Trainables,
	{ parameters }: FitResult,
): Promise<Pick<Tuned, "adapter" | "model">> {
	const model = join(o.out, TUNE.model);
	if (s.full) {
		await writeModel(model, withWeights(graph, parameters));
		return { model };
	}
	const adapter = join(o.out, TUNE.adapter);
	const config = {
		rank: s.rank,
		alpha: alphaOf(s),
		rsLora: s.rslora,
		rankPattern: s.rankPattern,
		alphaPattern: s.alphaPattern,
		dropout: s.dropout,
		fanInFanOut: false,
	};
	const tensors = toPeft(parameters, sites);
	await writePeft(adapter, tensors, config, sites, basename(o.model));
	if (!o.merge) return { adapter };
	const merged = mergeAdapter(graph, await readPeft(adapter));
	await writeModel(model, merged.graph);
	return { adapter, model };
}

const withWeights = (
	graph: Graph,
	weights: ReadonlyMap<string, Tensor>,
): Graph => ({
	...graph,
	initializers: new Map([...graph.initializers, ...weights]),
});
