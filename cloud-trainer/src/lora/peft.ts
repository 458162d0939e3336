import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { WattvoxError, writeAtomic } from "@wattvox/core";
import {
	decodeSafetensors,
	encodeSafetensors,
	type Tensor,
} from "@wattvox/onnx";
import { z } from "zod";
import { type LoraOptions, loraScale } from "./inject.ts";

/** File names of PEFT's adapter format. */
export const ADAPTER_MODEL = "adapter_model.safetensors";
export const ADAPTER_CONFIG = "adapter_config.json";

const configSchema = z.object({
	peft_type: z.literal("LORA"),
	r: z.number().int().positive(),
	lora_alpha: z.number().positive(),
	use_rslora: z.boolean().default(false),
	target_modules: z.union([z.array(z.string()), z.string()]).nullish(),
});

/** An adapter as read from a PEFT folder. */
export interface Adapter {
	tensors: Map<string, Tensor>;
	rank: number;
	alpha: number;
	/** What multiplies B A. */
	scale: number;
}

/** Writes a PEFT adapter folder: config and safetensors. */
export async function writePeft(
	dir: string,
	tensors: ReadonlyMap<string, Tensor>,
	o: Pick<LoraOptions, "rank" | "alpha" | "rsLora">,
	adapted: readonly string[],
	base: string,
): Promise<void> {
	await writeAtomic(
		join(dir, ADAPTER_MODEL),
		encodeSafetensors(tensors, { format: "pt" }),
	);
	const config = {
		base_model_name_or_path: base,
		bias: "none",
		fan_in_fan_out: true,
		inference_mode: true,
		lora_alpha: o.alpha,
		lora_dropout: 0,
		peft_type: "LORA",
		r: o.rank,
		target_modules: [...adapted],
		task_type: null,
		use_rslora: o.rsLora ?? false,
	};
	await writeAtomic(
		join(dir, ADAPTER_CONFIG),
		`${JSON.stringify(config, null, 2)}\n`,
	);
}

/** Reads a PEFT adapter folder. @throws WattvoxError E_FILE_MISSING, E_FILE_FORMAT */
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
	return {
		tensors: decodeSafetensors(await read(ADAPTER_MODEL)).tensors,
		rank: config.r,
		alpha: config.lora_alpha,
		scale: loraScale({
			rank: config.r,
			alpha: config.lora_alpha,
			rsLora: config.use_rslora,
		}),
	};
}
