import { facts, WattvoxError } from "@wattvox/core";
import { command } from "../command.ts";

export const grow = command({
	usage: "grow",
	about: "Room for more speakers in an ONNX model: rows for an embedding table",
	examples: [
		[
			"grow --model m.onnx --table emb_g.weight --rows 240 --out more.onnx",
			"new speakers begin as the mean of the old ones; nothing else changes",
		],
	],
	positionals: {},
	options: {
		model: { type: "string", demandOption: true, describe: "The .onnx file" },
		table: {
			type: "string",
			demandOption: true,
			describe: "The table's initialiser, [rows, width]",
		},
		rows: {
			type: "number",
			demandOption: true,
			describe: "How many there shall be",
		},
		seed: { type: "number", default: 1, describe: "Of the new rows' noise" },
		out: { type: "string", demandOption: true, describe: "The .onnx to write" },
	},
	async run({ model, table, rows, seed, out }, io) {
		const { growTable } = await import("@wattvox/cloud-trainer");
		const { readModel, writeModel } = await import("@wattvox/onnx");
		const graph = await readModel(model);
		const before = graph.initializers.get(table)?.dims[0];
		if (before === undefined)
			throw new WattvoxError(
				"E_MODEL",
				`${model} has no table ${table}; it has ${tables(graph)}`,
			);
		await writeModel(out, growTable(graph, table, rows, seed));
		io.result(
			{ model: out, table, before, rows },
			facts([
				["model", out],
				["table", `${table}, ${before} to ${rows} rows`],
			]),
		);
	},
});

/** The tables that there are: what `Gather` takes rows of. */
function tables(graph: {
	nodes: readonly { op: string; inputs: readonly string[] }[];
	initializers: ReadonlyMap<string, { dims: readonly number[] }>;
}): string {
	const names = graph.nodes
		.filter((n) => n.op === "Gather")
		.map((n) => n.inputs[0] ?? "")
		.filter((name) => graph.initializers.get(name)?.dims.length === 2);
	return [...new Set(names)].slice(0, 8).join(", ") || "none";
}
