import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { WattvoxError, writeAtomic } from "@wattvox/core";
import {
	AUDIO,
	alignerConfig,
	decoderReach,
	speakerConfig,
	studentConfig,
	teacherConfig,
	vocoderConfig,
	vocoderReach,
} from "@wattvox/models";
import {
	decodeModel,
	encodeModel,
	type Graph,
	halveWeights,
	type Tensor,
	widenWeights,
} from "@wattvox/onnx";
import { z } from "zod";
import { parametersOf } from "../train/fit.ts";

const acousticSchema = z.object({
	symbols: z.number().int(),
	width: z.number().int(),
	heads: z.number().int(),
	trunkLayers: z.number().int(),
	contentLayers: z.number().int(),
	cond: z.number().int(),
	decoderWidth: z.number().int(),
	decoderLayers: z.number().int(),
	posteriorWidth: z.number().int(),
	expand: z.number().int(),
});
const audioSchema = z.object({
	sampleRate: z.number(),
	nFft: z.number().int(),
	hop: z.number().int(),
	nMels: z.number().int(),
	fmin: z.number(),
	fmax: z.number(),
});
const encoderSchema = z.object({
	width: z.number().int(),
	layers: z.number().int(),
	expand: z.number().int(),
});

/** What a base is: its symbols and the sizes of its models. Weights lie beside it, one ONNX file per model. */
export const baseSchema = z.object({
	format: z.literal(1),
	name: z.string(),
	language: z.string(),
	symbols: z.array(z.string()),
	audio: audioSchema,
	teacher: acousticSchema,
	student: acousticSchema,
	vocoder: z.object({
		audio: audioSchema,
		width: z.number().int(),
		layers: z.number().int(),
		expand: z.number().int(),
	}),
	speaker: encoderSchema,
	aligner: encoderSchema,
	/** Frames that a chunk of the edge's decoder yields, and the context it needs on each side. */
	chunk: z.number().int(),
	halo: z.number().int(),
	/** Scale of the latent's noise at synthesis. */
	noiseScale: z.number(),
	/** Mean embeddings of the base's own voices, for "closer to the target than to every base voice". */
	voices: z.record(z.string(), z.array(z.number())),
});

export type Base = z.infer<typeof baseSchema>;

/** The models of a base, by file name without extension. */
export type BaseModel =
	| "teacher"
	| "student"
	| "vocoder"
	| "speaker"
	| "aligner";

/** A new base with our sizes. */
export function newBase(
	name: string,
	language: string,
	symbols: string[],
): Base {
	const student = studentConfig(symbols.length);
	return {
		format: 1,
		name,
		language,
		symbols,
		audio: AUDIO,
		teacher: teacherConfig(symbols.length),
		student,
		vocoder: vocoderConfig,
		speaker: speakerConfig,
		aligner: alignerConfig,
		chunk: 96,
		halo: decoderReach(student) + vocoderReach(vocoderConfig),
		noiseScale: 0.3,
		voices: {},
	};
}

/** Reads `base.json`. @throws WattvoxError E_FILE_MISSING, E_FILE_FORMAT */
export async function readBase(dir: string): Promise<Base> {
	const path = join(dir, "base.json");
	const text = await readFile(path, "utf8").catch((cause) => {
		throw new WattvoxError("E_FILE_MISSING", `no base voice at ${dir}`, {
			cause,
		});
	});
	try {
		return baseSchema.parse(JSON.parse(text));
	} catch (cause) {
		throw new WattvoxError(
			"E_FILE_FORMAT",
			`${path} is not a base's description`,
			{ cause },
		);
	}
}

/** Writes `base.json`. */
export const writeBase = (dir: string, base: Base): Promise<void> =>
	writeAtomic(join(dir, "base.json"), `${JSON.stringify(base, null, "\t")}\n`);

/** The weights of one model of a base, as float32 by name. @throws WattvoxError E_FILE_MISSING, E_MODEL */
export async function readWeights(
	dir: string,
	model: BaseModel,
): Promise<Map<string, Tensor>> {
	const path = join(dir, `${model}.onnx`);
	const bytes = await readFile(path).catch((cause) => {
		throw new WattvoxError("E_FILE_MISSING", `the base lacks ${path}`, {
			cause,
		});
	});
	const graph = widenWeights(decodeModel(bytes));
	const names = new Set(parametersOf(graph));
	return new Map([...graph.initializers].filter(([n]) => names.has(n)));
}

/** Writes a model's graph with its weights in half precision. */
export const writeModelHalf = (path: string, graph: Graph): Promise<void> =>
	writeAtomic(path, encodeModel(halveWeights(graph)));

/**
 * A graph with weights put in by name.
 * @throws WattvoxError E_MODEL when a parameter of the graph is missing or has another shape
 */
export function withWeights(
	graph: Graph,
	weights: ReadonlyMap<string, Tensor>,
): Graph {
	const initializers = new Map(graph.initializers);
	for (const name of parametersOf(graph)) {
		const [want, have] = [initializers.get(name), weights.get(name)];
		if (!have || String(have.dims) !== String(want?.dims))
			throw new WattvoxError(
				"E_MODEL",
				`the weights ${have ? `have ${name} as [${have.dims}], not [${want?.dims}]` : `lack ${name}`}`,
			);
		initializers.set(name, have);
	}
	return { ...graph, initializers };
}
