import { seededRandom } from "@wattvox/models";
import { floats, type Graph, sizeOf, type Tensor } from "@wattvox/onnx";

/** Dropout of an adapter's inputs, in training alone. */
export interface DropoutOptions {
	/** Share of the inputs that a step does without. */
	share: number;
	seed: number;
}

const PATTERN = /\.lora_A$/;
const maskName = (name: string): string => `${name}.keep`;

/** The shape of what multiplies A: one number per input, whatever the layout (see `pairShapes`). */
const maskDims = (dims: readonly number[]): number[] =>
	dims.length > 2
		? dims.map((d, i) => (i === 1 ? d : 1))
		: dims.map((d, i) => (i === 0 ? d : 1));

/**
 * Multiplies every adapter's A by an input that blanks some of its inputs, anew at each step and for
 * all rows of a batch (LoRA dropout by columns, arXiv 2404.09610). It costs a product per adapter, not
 * one per activation, and depends on nothing but the seed and the step: a resumed run sees what it would
 * have seen, and activations that are computed again are the same.
 */
export class Dropout {
	readonly #o: DropoutOptions;
	readonly #masks = new Map<string, number[]>();

	constructor(o: DropoutOptions) {
		this.#o = o;
	}

	/** The graph with masks as inputs. */
	applied(graph: Graph, trainable: readonly string[]): Graph {
		const dropped = new Map<string, string>();
		const nodes: Graph["nodes"] = [];
		const inputs = [...graph.inputs];
		for (const name of trainable) {
			const dims = graph.initializers.get(name)?.dims;
			if (!dims || !PATTERN.test(name)) continue;
			const mask = maskName(name);
			this.#masks.set(mask, maskDims(dims));
			inputs.push({ name: mask, dtype: "float32", shape: maskDims(dims) });
			dropped.set(name, `${name}.dropped`);
			nodes.push({
				op: "Mul",
				domain: "",
				name: `${name}.dropped`,
				inputs: [name, mask],
				outputs: [`${name}.dropped`],
				attrs: {},
			});
		}
		for (const node of graph.nodes)
			nodes.push({
				...node,
				inputs: node.inputs.map((n) => dropped.get(n) ?? n),
			});
		return { ...graph, inputs, nodes };
	}

	/** The masks of one step: 0, or 1/(1 - share) so that the mean stays. */
	feeds(step: number): Record<string, Tensor> {
		const { share, seed } = this.#o;
		const random = seededRandom(
			Math.imul(seed + 1, 0x9e3779b1) ^ Math.imul(step + 1, 0xc2b2ae35),
		);
		const out: Record<string, Tensor> = {};
		for (const [name, dims] of this.#masks)
			out[name] = floats(
				Float32Array.from({ length: sizeOf(dims) }, () =>
					random() < share ? 0 : 1 / (1 - share),
				),
				dims,
			);
		return out;
	}
}
