import { readFile } from "node:fs/promises";
import { table, WattvoxError, writeAtomic } from "@wattvox/core";
import type { Tensor } from "@wattvox/onnx";
import { command } from "../command.ts";

export const grad = command({
	usage: "grad",
	about: "Gradients of an ONNX model's output for inputs or weights",
	examples: [
		[
			"grad --model m.onnx --feeds f.safetensors --of loss --wrt w --out g.safetensors",
			"an output that is no scalar counts as the sum of its elements",
		],
		[
			"grad --model m.onnx --feeds f.safetensors --of y --wrt x,layer.weight --out g.safetensors --json",
			"several names; the sizes of each gradient as JSON",
		],
	],
	positionals: {},
	options: {
		model: { type: "string", demandOption: true, describe: "The .onnx file" },
		feeds: {
			type: "string",
			demandOption: true,
			describe: "safetensors with a tensor for every input of the model",
		},
		of: {
			type: "string",
			demandOption: true,
			describe: "Output (or inner float32 value) to differentiate",
		},
		wrt: {
			type: "array",
			string: true,
			demandOption: true,
			describe: "Inputs or initialisers, with commas between or repeated",
		},
		out: {
			type: "string",
			demandOption: true,
			describe: "safetensors to write: one gradient for each name",
		},
		threads: {
			type: "number",
			default: 1,
			describe: "Threads inside one operator",
		},
	},
	async run({ model, feeds, of, wrt, out, threads }, io) {
		if (!Number.isInteger(threads) || threads < 1)
			throw new WattvoxError("E_USAGE", "--threads is a whole number above 0");
		const { gradientsOf } = await import("@wattvox/cloud-trainer");
		const { decodeSafetensors, encodeSafetensors, readModel, widenWeights } =
			await import("@wattvox/onnx");
		const graph = widenWeights(await readModel(model));
		const bytes = await readFile(feeds).catch((cause) => {
			throw cause.code === "ENOENT"
				? new WattvoxError("E_FILE_MISSING", `there is no ${feeds}`, { cause })
				: cause;
		});
		const { value, gradients, independent } = await gradientsOf(graph, {
			of,
			wrt: names(graph, wrt),
			feeds: Object.fromEntries(decodeSafetensors(bytes).tensors),
			threads,
			signal: io.signal,
		});
		await writeAtomic(out, encodeSafetensors(gradients, { of }));
		const list = [...gradients].map(([name, t]) => ({
			name,
			dims: t.dims,
			norm: norm(t),
			independent: independent.includes(name),
		}));
		const text = table(
			["gradient for", "shape", "norm", ""],
			list.map((g) => [
				g.name,
				`[${g.dims.join(", ")}]`,
				g.norm.toPrecision(6),
				g.independent ? `zero: ${of} does not depend on it` : "",
			]),
			["left", "left", "right", "left"],
		);
		io.result(
			{ of, value, out, gradients: list },
			`${of} = ${value}\n\n${text}`,
		);
	},
});

/** A comma stands between names, but for a name of the model that holds one. */
function names(
	graph: {
		inputs: readonly { name: string }[];
		initializers: ReadonlyMap<string, unknown>;
	},
	given: readonly string[],
): string[] {
	const whole = (name: string) =>
		graph.initializers.has(name) || graph.inputs.some((v) => v.name === name);
	return given.flatMap((name) =>
		whole(name) ? [name] : name.split(",").filter(Boolean),
	);
}

/** Euclidean norm. */
function norm({ data }: Tensor): number {
	let sum = 0;
	for (const e of data as Float32Array) sum += e * e;
	return Math.sqrt(sum);
}
