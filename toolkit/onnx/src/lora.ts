import { WattvoxError } from "@wattvox/core";
import { castFloat } from "./tensor.ts";
import type { Tensor } from "./types.ts";

const PREFIX = "base_model.model.";
const KEY = /^base_model\.model\.(.+)\.lora_([AB])\.weight$/;
const SAVED = /^base_model\.model\.(.+)\.weight$/;

/** The PEFT key of one half of a LoRA pair on the weight named `name`. */
export const loraKey = (name: string, half: "A" | "B"): string =>
	`${PREFIX}${name}.lora_${half}.weight`;

/** The PEFT key of a weight that an adapter brings whole (`modules_to_save`), under its own name. */
export const savedKey = (name: string): string => `${PREFIX}${name}.weight`;

/** The two halves of an adapter on one weight, float32: A [r, in], B [out, r]. */
export interface LoraPair {
	a: Tensor;
	b: Tensor;
}

/** What an adapter does to one weight: adds a pair's product, or takes its place; float32. */
export type WeightChange = LoraPair | { whole: Tensor };

/**
 * What an adapter changes, by the name of the weight, in float32: LoRA pairs, A [r, in] and B [out, r]
 * as PEFT keeps them, and weights that it brings whole.
 * @throws WattvoxError E_FILE_FORMAT when half of a pair is missing, numbers are no floats, or a weight
 *   has both a pair and a whole of its own
 */
export function weightChanges(
	adapter: ReadonlyMap<string, Tensor>,
): Map<string, WeightChange> {
	const changes = new Map<string, WeightChange>();
	const single = (key: string, what: string): Tensor => {
		const tensor = adapter.get(key);
		const cast = tensor && castFloat(tensor, "float32");
		if (cast?.dtype !== "float32")
			throw new WattvoxError(
				"E_FILE_FORMAT",
				`the adapter ${cast ? "has integers for" : "lacks"} ${what}`,
			);
		return cast;
	};
	for (const key of adapter.keys()) {
		const [, name] = KEY.exec(key) ?? [];
		if (!name || changes.has(name)) continue;
		const half = (which: "A" | "B") =>
			single(loraKey(name, which), `lora_${which} of ${name}`);
		changes.set(name, { a: half("A"), b: half("B") });
	}
	for (const key of adapter.keys()) {
		const [, name] = KEY.test(key) ? [] : (SAVED.exec(key) ?? []);
		if (!name) continue;
		if (changes.has(name))
			throw new WattvoxError(
				"E_FILE_FORMAT",
				`the adapter both adds to ${name} and replaces it`,
			);
		changes.set(name, { whole: single(key, name) });
	}
	return changes;
}

/**
 * A weight as an adapter has it: W + scale * (B A)^T for a MatMul weight W [in, out] in float32, in a new
 * array, or the adapter's own in its place.
 * @throws WattvoxError E_MODEL when the change's shape does not fit the weight
 */
export function changedWeight(
	name: string,
	w: Tensor,
	change: WeightChange,
	scale: number,
): Tensor {
	if (!("whole" in change)) return addLora(name, w, change, scale);
	if (String(change.whole.dims) !== String(w.dims))
		throw new WattvoxError(
			"E_MODEL",
			`the adapter's ${name} is [${change.whole.dims}]; the weight is [${w.dims}]`,
		);
	return change.whole;
}

function addLora(
	name: string,
	w: Tensor,
	{ a, b }: LoraPair,
	scale: number,
): Tensor {
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
	const out = (w.data as Float32Array).slice();
	const A = a.data as Float32Array;
	const B = transposed(b.data as Float32Array, cols, r);
	// Rank by rank over whole rows, four ranks at a time: arrays are read and written in the order in which
	// they lie in memory, and a weight is not written eight times.
	for (let i = 0; i < rows; i++) {
		const to = i * cols;
		const factor = (k: number) => (k < r ? scale * (A[k * rows + i] ?? 0) : 0);
		for (let k = 0; k < r; k += 4) {
			const [f0, f1, f2, f3] = [
				factor(k),
				factor(k + 1),
				factor(k + 2),
				factor(k + 3),
			];
			const b0 = k * cols;
			const b1 = Math.min(k + 1, r - 1) * cols;
			const b2 = Math.min(k + 2, r - 1) * cols;
			const b3 = Math.min(k + 3, r - 1) * cols;
			for (let j = 0; j < cols; j++)
				out[to + j] =
					(out[to + j] as number) +
					f0 * (B[b0 + j] as number) +
					f1 * (B[b1 + j] as number) +
					f2 * (B[b2 + j] as number) +
					f3 * (B[b3 + j] as number);
		}
	}
	return { dtype: "float32", dims: w.dims, data: out };
}

function transposed(x: Float32Array, rows: number, cols: number): Float32Array {
	const out = new Float32Array(x.length);
	for (let i = 0; i < rows; i++)
		for (let j = 0; j < cols; j++) out[j * rows + i] = x[i * cols + j] ?? 0;
	return out;
}
