import { basename } from "node:path";
import { facts, table } from "@wattvox/core";
import { command } from "../command.ts";
import { MAP, notPeft, percent, readMap } from "../lora-options.ts";

export const loraExtract = command({
	usage: "lora extract",
	about: "An adapter from a base model and a fine-tuned one",
	examples: [
		[
			"lora extract --base base.onnx --tuned tuned.onnx --rank 16 --out adapter/",
			"the best pairs of that rank, with the error that is left",
		],
	],
	positionals: {},
	options: {
		base: {
			type: "string",
			demandOption: true,
			describe: "The ONNX model before",
		},
		tuned: {
			type: "string",
			demandOption: true,
			describe: "The same model after fine-tuning",
		},
		out: { type: "string", demandOption: true, describe: "PEFT folder" },
		rank: { type: "number", default: 16, describe: "Of each pair" },
		target: {
			type: "array",
			string: true,
			describe:
				"Module paths, as in `lora inject`; by default all that changed but ConvTranspose",
		},
		...MAP,
	},
	async run(args, io) {
		const { extractLora, writePeft } = await import("@wattvox/cloud-trainer");
		const { readModel } = await import("@wattvox/onnx");
		const found = extractLora(
			await readModel(args.base),
			await readModel(args.tuned),
			{
				rank: args.rank,
				...(args.target?.length ? { targets: args.target } : {}),
				...(await readMap(args.map)),
			},
		);
		await writePeft(
			args.out,
			found.tensors,
			found.config,
			found.modules,
			basename(args.base),
		);
		const { left } = found;
		if (left.names.length)
			io.progress.note(
				`${left.names.length} changed tensors fit no pair (${percent(left.share)} of the change): ${left.names.slice(0, 6).join(", ")}`,
			);
		const note = notPeft(found.modules);
		if (note) io.progress.note(note);
		io.result(
			{
				adapter: args.out,
				error: found.error,
				modules: found.modules,
				left,
			},
			`${table(
				["module", "change", "error"],
				found.modules.map((m) => [
					m.module,
					m.norm.toPrecision(3),
					percent(m.error),
				]),
				["left", "right", "right"],
			)}\n\n${facts([
				["adapter", args.out],
				["error", `${percent(found.error)} of the change's norm`],
			])}`,
		);
	},
});
