import { facts } from "@wattvox/core";
import { command } from "../command.ts";
import { MAP, readMap } from "../lora-options.ts";

export const loraMerge = command({
	usage: "lora merge",
	about: "A PEFT adapter into the weights: plain ONNX again",
	examples: [
		[
			"lora merge --model m.onnx --adapter adapter/ --out merged.onnx",
			"adapters made by the PEFT library as well as ours",
		],
	],
	positionals: {},
	options: {
		model: {
			type: "string",
			demandOption: true,
			describe: "The ONNX model without pairs",
		},
		adapter: {
			type: "string",
			demandOption: true,
			describe: "PEFT folder: adapter_config.json, adapter_model.safetensors",
		},
		out: { type: "string", demandOption: true, describe: "The merged model" },
		partial: {
			type: "boolean",
			default: false,
			describe: "Leave out what the model does not have",
		},
		...MAP,
	},
	async run(args, io) {
		const { mergeAdapter, readPeft } = await import("@wattvox/cloud-trainer");
		const { readModel, writeModel } = await import("@wattvox/onnx");
		const { graph, merged } = mergeAdapter(
			await readModel(args.model),
			await readPeft(args.adapter),
			{ ...(await readMap(args.map)), partial: args.partial },
		);
		await writeModel(args.out, graph);
		io.result(
			{ model: args.out, merged },
			facts([
				["model", args.out],
				["merged", merged.join(", ")],
			]),
		);
	},
});
