import { WattvoxError } from "@wattvox/core";
import { castFloat } from "./tensor.ts";
import type { Tensor } from "./types.ts";

const PREFIX = "base_model.model.";
const KEY = /^base_model\.model\.(.+)\.lora_([AB])\.weight$/;

/** The PEFT key of one half of a LoRA pair on the weight named `name`. */
export const loraKey = (name: string, half: "A" | "B"): string =>
	`${PREFIX}${name}.lora_${half}.weight`;

/** The two halves of an adapter on one weight, float32: A [r, in], B [out, r]. */
export interface LoraPair {
	a: Tensor;
	b: Tensor;
}

/**
 * LoRA pairs by the name of the weight they adapt, in float32. A is [r, in], B is [out, r], as PEFT
 * keeps them.
 * @throws WattvoxError E_FILE_FORMAT when half of a pair is missing or no floats
 */
export function loraPairs(
	adapter: ReadonlyMap<string, Tensor>,
): Map<string, LoraPair> {
	const pairs = new Map<string, LoraPair>();
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
 * W + scale * (B A)^T for a MatMul weight W [in, out] in float32, in a new array.
 * @throws WattvoxError E_MODEL when the pair's shape does not fit the weight
 */
export function addLora(
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
