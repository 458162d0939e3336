import { basename } from "node:path";
import { facts, table, WattvoxError } from "@wattvox/core";
import { command } from "../command.ts";
import {
	MAP,
	notPeft,
	patternTable,
	percent,
	readMap,
} from "../lora-options.ts";

export const loraInject = command({
	usage: "lora inject",
	about: "Put low-rank pairs beside the weights of an ONNX model",
	examples: [
		[
			"lora inject --model m.onnx --target q_proj --target v_proj --rank 16 --out injected.onnx --peft adapter/",
			"fresh pairs, which change nothing yet, and their PEFT folder",
		],
		[
			"lora inject --model m.onnx --adapter adapter/ --out injected.onnx",
			"an adapter's pairs, kept beside the weights",
		],
		[
			"lora inject --model m.onnx --target '/layers\\.\\d+\\.(fc1|fc2)$/' --rank 8 --rank-pattern 'layers\\.0\\..*=16' --out injected.onnx",
			"targets by regular expression, a rank of its own for some",
		],
	],
	positionals: {},
	options: {
		model: { type: "string", demandOption: true, describe: "The ONNX model" },
		out: {
			type: "string",
			demandOption: true,
			describe: "The model with pairs: ONNX",
		},
		target: {
			type: "array",
			string: true,
			default: ["*"],
			describe:
				"Module paths: a glob, or an expression between slashes; the end of a path from a dot on is enough. * is all that PEFT has pairs for; a ConvTranspose has to be named",
		},
		rank: { type: "number", default: 8, describe: "Of each pair" },
		alpha: {
			type: "number",
			describe: "Scale times rank; by default twice the rank",
		},
		rslora: {
			type: "boolean",
			default: false,
			describe: "Scale by alpha/sqrt(rank) in place of alpha/rank",
		},
		"rank-pattern": {
			type: "array",
			string: true,
			describe:
				"PATTERN=RANK for some modules; a regular expression, as in PEFT",
		},
		"alpha-pattern": {
			type: "array",
			string: true,
			describe: "PATTERN=ALPHA for some modules",
		},
		seed: { type: "number", default: 1, describe: "Of the fresh pairs" },
		adapter: {
			type: "string",
			describe: "PEFT folder whose pairs to use in place of fresh ones",
		},
		peft: { type: "string", describe: "Write the pairs to this PEFT folder" },
		partial: {
			type: "boolean",
			default: false,
			describe: "Leave out what of --adapter the model does not have",
		},
		...MAP,
	},
	async run(args, io) {
		const { attachLora, injectLora, pairShapes, readPeft, toPeft, writePeft } =
			await import("@wattvox/cloud-trainer");
		const { readModel, sizeOf, writeModel } = await import("@wattvox/onnx");
		const graph = await readModel(args.model);
		const names = await readMap(args.map);
		const adapter =
			args.adapter === undefined ? undefined : await readPeft(args.adapter);
		const lora = adapter ?? {
			rank: args.rank,
			alpha: args.alpha ?? 2 * args.rank,
			rsLora: args.rslora,
			rankPattern: patternTable("rank-pattern", args["rank-pattern"]),
			alphaPattern: patternTable("alpha-pattern", args["alpha-pattern"]),
		};
		if (!(lora.alpha > 0))
			throw new WattvoxError("E_USAGE", "--alpha must be above 0");
		const injected = adapter
			? attachLora(graph, adapter, { ...names, partial: args.partial })
			: injectLora(graph, {
					...lora,
					...names,
					targets: args.target,
					seed: args.seed,
				});
		await writeModel(args.out, injected.graph);
		if (args.peft !== undefined)
			await writePeft(
				args.peft,
				toPeft(injected.graph.initializers, injected.sites),
				{ ...lora, fanInFanOut: false },
				injected.sites,
				basename(args.model),
			);
		const note = args.peft === undefined ? undefined : notPeft(injected.sites);
		if (note) io.progress.note(note);
		let [trained, whole] = [0, 0];
		const rows = injected.sites.map((s) => {
			const { A, B } = pairShapes(s, s.rank);
			const size = sizeOf(A) + sizeOf(B);
			trained += size;
			return {
				module: s.module,
				kind: s.kind,
				weight: s.weight,
				rank: s.rank,
				scale: s.scale,
				parameters: size,
			};
		});
		for (const t of graph.initializers.values())
			if (/float/.test(t.dtype)) whole += t.data.length;
		io.result(
			{
				model: args.out,
				adapter: args.peft ?? null,
				modules: rows,
				parameters: trained,
				share: trained / whole,
			},
			`${table(
				["module", "kind", "rank", "scale", "parameters"],
				rows.map((r) => [
					r.module,
					r.kind,
					String(r.rank),
					String(Number(r.scale.toPrecision(4))),
					String(r.parameters),
				]),
				["left", "left", "right", "right", "right"],
			)}\n\n${facts([
				["model", args.out],
				...(args.peft === undefined ? [] : [["adapter", args.peft] as const]),
				[
					"parameters",
					`${trained}, ${percent(trained / whole)} of the model's`,
				],
			])}`,
		);
	},
});
