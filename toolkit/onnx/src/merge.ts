import { WattvoxError } from "@wattvox/core";
import { emptyGraph } from "./builder.ts";
import { castFloat } from "./tensor.ts";
import type { Graph, Tensor } from "./types.ts";

const PREFIX = "base_model.model.";
const KEY = /^base_model\.model\.(.+)\.lora_([AB])\.weight$/;

/** The PEFT key of one half of a LoRA pair on the weight named `name`. */
export const loraKey = (name: string, half: "A" | "B"): string =>
	`${PREFIX}${name}.lora_${half}.weight`;

/**
 * LoRA pairs by the name of the weight they adapt, in float32. A is [r, in], B is [out, r], as PEFT
 * keeps them.
 * @throws WattvoxError E_FILE_FORMAT when half of a pair is missing or no floats
 */
export function loraPairs(
	adapter: ReadonlyMap<string, Tensor>,
): Map<string, { a: Tensor; b: Tensor }> {
	const pairs = new Map<string, { a: Tensor; b: Tensor }>();
	for (const key of adapter.keys()) {
		const [, name, half] = KEY.exec(key) ?? [];
		if (!name || (half === "B" && pairs.has(name))) continue;
		const part = (which: "A" | "B"): Tensor => {
			const tensor = adapter.get(loraKey(name, which));
			const single = tensor && castFloat(tensor, "float32");
			if (single?.dtype !== "float32")
				throw new WattvoxError(
					"E_FILE_FORMAT",
					`the adapter ${single ? `has integers for lora_${which} of` : `lacks lora_${which} of`} ${name}`,
				);
			return single;
		};
		if (!pairs.has(name)) pairs.set(name, { a: part("A"), b: part("B") });
	}
	return pairs;
}

/**
 * Adds scale * (B A)^T to each adapted MatMul weight [in, out] of a graph, in new arrays: the given
 * graph's tensors stay as they are. Pairs for weights that this graph does not hold are left out, so
 * one adapter serves the text and the decoder graph.
 * @returns the merged graph and the names of the weights that changed
 * @throws WattvoxError E_MODEL when a pair's shape does not fit its weight
 */
export function mergeLora(
	graph: Graph,
	adapter: ReadonlyMap<string, Tensor>,
	scale: number,
): { graph: Graph; merged: string[] } {
	const initializers = new Map(graph.initializers);
	const merged: string[] = [];
	for (const [name, { a, b }] of loraPairs(adapter)) {
		const base = initializers.get(name);
		if (!base) continue;
		const w = castFloat(base, "float32");
		const [rows = 0, cols = 0] = w.dims;
		const r = a.dims[0] ?? 0;
		if (
			w.dims.length !== 2 ||
			a.dims[1] !== rows ||
			b.dims[0] !== cols ||
			b.dims[1] !== r
		)
			throw new WattvoxError(
				"E_MODEL",
				`the adapter of ${name} is A [${a.dims}], B [${b.dims}]; the weight is [${w.dims}]`,
			);
		const out = Float32Array.from(w.data as Float32Array);
		const [A, B] = [a.data as Float32Array, b.data as Float32Array];
		for (let i = 0; i < rows; i++)
			for (let k = 0; k < r; k++) {
				const f = scale * (A[k * rows + i] ?? 0);
				for (let j = 0; j < cols; j++)
					out[i * cols + j] =
						(out[i * cols + j] ?? 0) + f * (B[j * r + k] ?? 0);
			}
		initializers.set(name, { dtype: "float32", dims: w.dims, data: out });
		merged.push(name);
	}
	return { graph: { ...graph, initializers }, merged };
}

/** {@link mergeLora} on weights that stand alone. */
export const mergeIntoWeights = (
	weights: ReadonlyMap<string, Tensor>,
	adapter: ReadonlyMap<string, Tensor>,
	scale: number,
): Map<string, Tensor> =>
	mergeLora(
		{ ...emptyGraph("weights"), initializers: new Map(weights) },
		adapter,
		scale,
	).graph.initializers;
