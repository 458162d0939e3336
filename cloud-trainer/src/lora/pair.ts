import { normal } from "@wattvox/models";
import { floats, loraKey, sizeOf, type Tensor, zeros } from "@wattvox/onnx";
import type { Site } from "./sites.ts";

/** Name of an injected graph's initialiser with one half of a pair. */
export const pairName = (weight: string, half: "A" | "B"): string =>
	`${weight}.lora_${half}`;

/** PEFT's name of one half of a site's pair. */
export const peftKey = (
	site: Pick<Site, "module" | "kind">,
	half: "A" | "B",
) =>
	site.kind === "embedding"
		? `base_model.model.${site.module}.lora_embedding_${half}`
		: loraKey(site.module, half);

/**
 * The shapes of a pair, as the graph multiplies by it and as PEFT keeps it.
 * - linear: A [in, r], B [r, out]; PEFT turns both
 * - embedding: A [rows, r], B [r, width]; PEFT turns both
 * - Conv: A [r, in, kernel], B [out, r / groups, 1...]; the same in PEFT, which reads all channels by A
 *   and groups the ranks by B
 * - ConvTranspose: A [in, r, kernel], B [out, r, 1...]. PEFT has none; kept beside its others as a Conv's
 *   pair is: A [r, in, kernel]
 */
export function pairShapes(
	s: Site,
	r: number,
): { A: number[]; B: number[]; peftA: number[]; peftB: number[] } {
	if (s.kind === "conv" || s.kind === "conv-transpose") {
		const kept = [r, s.in, ...s.kernel];
		const A = s.kind === "conv" ? kept : [s.in, r, ...s.kernel];
		const B = [s.out, r / s.groups, ...s.kernel.map(() => 1)];
		return { A, B, peftA: kept, peftB: B };
	}
	return { A: [s.in, r], B: [r, s.out], peftA: [r, s.in], peftB: [s.out, r] };
}

/**
 * A fresh pair that changes nothing, as PEFT draws it: A uniform within 1/sqrt(fan in) (Kaiming with
 * a = sqrt 5) and B zero; for an embedding A zero and B standard normal.
 */
export function freshPair(
	s: Site,
	r: number,
	random: () => number,
): { A: Tensor; B: Tensor } {
	const shapes = pairShapes(s, r);
	const drawn = (dims: number[], one: () => number) =>
		floats(Float32Array.from({ length: sizeOf(dims) }, one), dims);
	if (s.kind === "embedding")
		return { A: zeros(shapes.A), B: drawn(shapes.B, () => normal(random)) };
	const bound = 1 / Math.sqrt(s.in * sizeOf(s.kernel));
	return {
		A: drawn(shapes.A, () => (2 * random() - 1) * bound),
		B: zeros(shapes.B),
	};
}

/** A matrix turned, or a kernel with its first two axes in each other's place. */
export function turned(t: Tensor): Tensor {
	const [rows = 0, cols = 0, ...kernel] = t.dims;
	const size = sizeOf(kernel);
	const data = new Float32Array(rows * cols * size);
	const source = t.data as Float32Array;
	for (let i = 0; i < rows; i++)
		for (let j = 0; j < cols; j++)
			for (let k = 0; k < size; k++)
				data[(j * rows + i) * size + k] =
					source[(i * cols + j) * size + k] ?? 0;
	return floats(data, [cols, rows, ...kernel]);
}

/**
 * Where a weight [in, out, kernel] has what PEFT's layout [out, in * kernel] has in column `i` of row `o`.
 * @param size elements of the kernel
 */
export const placeOf = (
	i: number,
	o: number,
	out: number,
	size: number,
): number => (Math.floor(i / size) * out + o) * size + (i % size);

/** A half between the graph's layout and PEFT's: turning is its own inverse. */
export const relaid = (
	s: Pick<Site, "kind">,
	half: "A" | "B",
	t: Tensor,
): Tensor =>
	s.kind === "conv" || (s.kind === "conv-transpose" && half === "B")
		? t
		: turned(t);
