import { CONTENT } from "@wattvox/models";
import { floats, type Tensor } from "@wattvox/onnx";
import type { Example } from "./features.ts";

/** What the decoder's own loss takes of an acoustic batch as it is. */
const KEPT = ["position", "speaker", "mel", "loss_mask"] as const;

/**
 * An acoustic batch for the decoder alone: content rows that are known already in place of phones.
 * @param feeds what `acousticBatch` made of the examples
 * @param content rows [phones, 256] of each example, flat
 */
export function decoderBatch(
	feeds: Readonly<Record<string, Tensor>>,
	examples: readonly Example[],
	content: ReadonlyMap<Example, Float32Array>,
): Record<string, Tensor> {
	const align = feeds.align as Tensor;
	const [B = 0, F = 0, T = 0] = align.dims;
	const rows = new Float32Array(B * F * CONTENT);
	for (const [b, e] of examples.entries()) {
		const of = content.get(e) as Float32Array;
		for (let f = 0; f < F; f++) {
			const at = (b * F + f) * T;
			for (let t = 0; t < e.phones.length; t++)
				if (align.data[at + t])
					rows.set(
						of.subarray(t * CONTENT, (t + 1) * CONTENT),
						(b * F + f) * CONTENT,
					);
		}
	}
	return {
		content: floats(rows, [B, F, CONTENT]),
		...Object.fromEntries(KEPT.map((name) => [name, feeds[name] as Tensor])),
	};
}
