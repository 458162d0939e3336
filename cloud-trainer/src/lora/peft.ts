import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { WattvoxError, writeAtomic } from "@wattvox/core";
import {
	castFloat,
	decodeSafetensors,
	encodeSafetensors,
	type Tensor,
} from "@wattvox/onnx";
import { z } from "zod";
import {
	type AdaptedSite,
	type InjectedLora,
	type LoraOptions,
	loraScale,
	toPeft,
} from "./inject.ts";
import { patternValue } from "./targets.ts";

/** File names of PEFT's adapter format. */
export const ADAPTER_MODEL = "adapter_model.safetensors";
export const ADAPTER_CONFIG = "adapter_config.json";

const pattern = z.record(z.string(), z.number()).nullish();
const configSchema = z.object({
	peft_type: z.literal("LORA"),
	r: z.number().int().positive(),
	lora_alpha: z.number().positive(),
	use_rslora: z.boolean().nullish(),
	use_dora: z.boolean().nullish(),
	lora_bias: z.boolean().nullish(),
	bias: z.string().nullish(),
	target_modules: z.union([z.array(z.string()), z.string()]).nullish(),
	modules_to_save: z.array(z.string()).nullish(),
	rank_pattern: pattern,
	alpha_pattern: pattern,
});

/** An adapter as read from a PEFT folder. */
export interface Adapter {
	tensors: Map<string, Tensor>;
	rank: number;
	alpha: number;
	rsLora: boolean;
	/** What multiplies B A where no pattern says otherwise. */
	scale: number;
	rankPattern: Record<string, number>;
	alphaPattern: Record<string, number>;
	/** Modules whose parameters the adapter brings whole (PEFT's `modules_to_save`). */
	saved: string[];
}

/** A module's pair in PEFT's shapes, float32. */
export interface PeftPair {
	/** The module's path. */
	module: string;
	embedding: boolean;
	a: Tensor;
	b: Tensor;
	rank: number;
	/** What multiplies B A. */
	scale: number;
}

/** What a written config tells beyond the pairs. */
export interface PeftConfig
	extends Pick<
		LoraOptions,
		"rank" | "alpha" | "rsLora" | "rankPattern" | "alphaPattern"
	> {
	/** Dropout in training. */
	dropout?: number;
	/** True when the model's linear weights are [in, out], as in our own models. */
	fanInFanOut?: boolean;
}

/**
 * Writes a PEFT adapter folder: config and safetensors. Tensors under `savedKey`s are whole weights; each
 * is a module of its own with the one parameter `weight`.
 * @param adapted module paths, or the sites of an injected graph
 */
export async function writePeft(
	dir: string,
	tensors: ReadonlyMap<string, Tensor>,
	o: PeftConfig,
	adapted: readonly (string | Pick<AdaptedSite, "module">)[],
	base: string,
): Promise<void> {
	await writeAtomic(
		join(dir, ADAPTER_MODEL),
		encodeSafetensors(tensors, { format: "pt" }),
	);
	const modules = adapted.map((s) => (typeof s === "string" ? s : s.module));
	const saved = [...tensors.keys()].flatMap((key) =>
		KEY.test(key) ? [] : (SAVED.exec(key)?.[1] ?? []),
	);
	const config = {
		base_model_name_or_path: base,
		bias: "none",
		fan_in_fan_out: o.fanInFanOut ?? true,
		inference_mode: true,
		lora_alpha: o.alpha,
		lora_dropout: o.dropout ?? 0,
		peft_type: "LORA",
		r: o.rank,
		rank_pattern: o.rankPattern ?? {},
		alpha_pattern: o.alphaPattern ?? {},
		target_modules: modules.filter((m) => !saved.includes(m)),
		modules_to_save: saved.length ? saved : null,
		task_type: null,
		use_rslora: o.rsLora ?? false,
	};
	await writeAtomic(
		join(dir, ADAPTER_CONFIG),
		`${JSON.stringify(config, null, 2)}\n`,
	);
}

/**
 * Writes the trained pairs of an injected graph as a PEFT adapter folder for a model from elsewhere,
 * whose linear weights are [out, in] in its own framework.
 * @param base the model's name or path, as the config tells it
 */
export async function savePeft(
	dir: string,
	parameters: ReadonlyMap<string, Tensor>,
	{ lora, sites }: Pick<InjectedLora, "lora" | "sites">,
	base: string,
): Promise<void> {
	const settings = { ...lora, fanInFanOut: false };
	await writePeft(dir, toPeft(parameters, sites), settings, sites, base);
}

/**
 * Reads a PEFT adapter folder.
 * @throws WattvoxError E_FILE_MISSING; E_FILE_FORMAT when it is no LoRA, or one with parts that plain
 * LoRA does not have (DoRA's magnitudes, trained biases)
 */
export async function readPeft(dir: string): Promise<Adapter> {
	const read = (name: string) =>
		readFile(join(dir, name)).catch((cause) => {
			throw new WattvoxError("E_FILE_MISSING", `no ${name} in ${dir}`, {
				cause,
			});
		});
	let config: z.infer<typeof configSchema>;
	try {
		config = configSchema.parse(
			JSON.parse((await read(ADAPTER_CONFIG)).toString()),
		);
	} catch (cause) {
		if (cause instanceof WattvoxError) throw cause;
		throw new WattvoxError(
			"E_FILE_FORMAT",
			`${join(dir, ADAPTER_CONFIG)} is no LoRA adapter`,
			{ cause },
		);
	}
	const beyond = [
		config.use_dora && "use_dora",
		config.lora_bias && "lora_bias",
		(config.bias ?? "none") !== "none" && `bias "${config.bias}"`,
	].filter(Boolean);
	if (beyond.length)
		throw new WattvoxError(
			"E_FILE_FORMAT",
			`the adapter in ${dir} has ${beyond.join(" and ")}, which plain LoRA has not`,
		);
	const rsLora = config.use_rslora ?? false;
	return {
		tensors: decodeSafetensors(await read(ADAPTER_MODEL)).tensors,
		rank: config.r,
		alpha: config.lora_alpha,
		rsLora,
		scale: loraScale({ rank: config.r, alpha: config.lora_alpha, rsLora }),
		rankPattern: config.rank_pattern ?? {},
		alphaPattern: config.alpha_pattern ?? {},
		saved: config.modules_to_save ?? [],
	};
}

const PREFIX = "base_model.model.";
const SAVED = /^base_model\.model\.(.+)\.weight$/;

/** The parameters that an adapter brings whole, by their path: module and parameter. */
export function savedParameters(adapter: Adapter): Map<string, Tensor> {
	const out = new Map<string, Tensor>();
	for (const [key, tensor] of adapter.tensors) {
		const path = key.startsWith(PREFIX) ? key.slice(PREFIX.length) : key;
		if (adapter.saved.some((module) => `.${path}`.includes(`.${module}.`)))
			out.set(path, tensor);
	}
	return out;
}

// The adapter's own name ("default") is in the key when a state dict was saved by hand.
const KEY =
	/^(?:base_model\.model\.)?(.+)\.lora_(?:([AB])(?:\.[^.]+)?\.weight|embedding_([AB])(?:\.[^.]+)?)$/;

/**
 * An adapter's pairs by module.
 * @throws WattvoxError E_FILE_FORMAT for a tensor that belongs to no pair, half a pair, ranks that differ
 */
export function pairsOf(adapter: Adapter): PeftPair[] {
	const parts = new Map<
		string,
		{ embedding: boolean; A?: Tensor; B?: Tensor }
	>();
	const bad = (why: string) => new WattvoxError("E_FILE_FORMAT", why);
	const whole = new Set(savedParameters(adapter).values());
	for (const [key, tensor] of adapter.tensors) {
		if (whole.has(tensor)) continue;
		const [, module, linear, table] = KEY.exec(key) ?? [];
		// Embeddings that PEFT saves along with their adapter are the base's own.
		if (/\.base_layer\.weight$/.test(key)) continue;
		if (!module) throw bad(`the adapter holds ${key}, which is no LoRA pair`);
		const part = parts.get(module) ?? { embedding: table !== undefined };
		const single = castFloat(tensor, "float32");
		if (single.dtype !== "float32") throw bad(`${key} is ${tensor.dtype}`);
		part[(linear ?? table) as "A" | "B"] = single;
		parts.set(module, part);
	}
	return [...parts].map(([module, { embedding, A: a, B: b }]) => {
		if (!a || !b)
			throw bad(`the adapter lacks lora_${a ? "B" : "A"} of ${module}`);
		const rank = a.dims[0] ?? 0;
		// A Conv with groups has a share of the ranks in each.
		const whole = a.dims.length < 3 || !b.dims[1] || rank % b.dims[1] !== 0;
		if (b.dims[1] !== rank && whole)
			throw bad(`A [${a.dims}] and B [${b.dims}] of ${module} differ in rank`);
		const alpha = patternValue(adapter.alphaPattern, module) ?? adapter.alpha;
		const scale = loraScale({ rank, alpha, rsLora: adapter.rsLora });
		return { module, embedding, a, b, rank, scale };
	});
}
