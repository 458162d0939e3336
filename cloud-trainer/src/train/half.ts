import {
	DTYPE_CODE,
	type DType,
	type Graph,
	inferTypes,
	type Node,
	opKey,
} from "@wattvox/onnx";
import { readsOf } from "./prune.ts";

/** Products: most of the work, and safe in half precision since they sum in single. */
const PRODUCTS = new Set([
	"MatMul",
	"Gemm",
	"Conv",
	"ConvTranspose",
	"com.microsoft.FusedMatMul",
]);
/** What only moves numbers about: done in half precision when its input is there in it. */
const MOVES = new Set([
	"Concat",
	"Expand",
	"Flatten",
	"Identity",
	"Reshape",
	"Slice",
	"Squeeze",
	"Transpose",
	"Unsqueeze",
]);

/**
 * Mixed precision: products and what only moves their results are done in float16, everything else
 * (normalisation, softmax, losses, sums, the optimiser and its state) in float32. Works on a graph with
 * its backward half; gradients that would vanish in float16 need the loss scaled.
 * @returns the graph and the number of its nodes that are now in half precision
 */
export function mixedPrecision(graph: Graph): { graph: Graph; halved: number } {
	const types = inferTypes(graph);
	const single = (name: string) => types.get(name)?.dtype === "float32";
	const half = new Set<string>();
	const chosen = new Set<Node>();
	for (const node of graph.nodes) {
		const key = opKey(node);
		const floats = node.inputs.filter((n) => n && single(n));
		const all = [...node.inputs, ...node.outputs].every(
			(n) => !n || types.has(n),
		);
		const fits =
			PRODUCTS.has(key) ||
			(MOVES.has(key) && floats.length > 0 && floats.every((n) => half.has(n)));
		if (!all || !fits || !node.outputs.every((o) => !o || single(o))) continue;
		chosen.add(node);
		for (const o of node.outputs) half.add(o);
	}
	const wide = new Set(graph.outputs.map((v) => v.name));
	for (const node of graph.nodes)
		if (!chosen.has(node)) for (const n of readsOf(node)) wide.add(n);
	const nodes: Node[] = [];
	const twin = (name: string) => `${name}.half`;
	const cast = (from: string, to: string, dtype: DType) =>
		nodes.push({
			op: "Cast",
			domain: "",
			name: `${to}.cast`,
			inputs: [from],
			outputs: [to],
			attrs: { to: { kind: "int", value: DTYPE_CODE[dtype] } },
		});
	const narrowed = new Set<string>();
	for (const node of graph.nodes) {
		if (!chosen.has(node)) {
			nodes.push(node);
			continue;
		}
		const inputs = node.inputs.map((n) => {
			if (!n || !single(n)) return n;
			if (!half.has(n) && !narrowed.has(n)) {
				narrowed.add(n);
				cast(n, twin(n), "float16");
			}
			return twin(n);
		});
		nodes.push({
			...node,
			inputs,
			outputs: node.outputs.map((o) => o && twin(o)),
		});
		for (const o of node.outputs)
			if (o && wide.has(o)) cast(twin(o), o, "float32");
	}
	return {
		graph: { ...graph, nodes, valueInfo: new Map() },
		halved: chosen.size,
	};
}

/** Scales a loss so that small gradients survive half precision (arXiv 1710.03740). */
export class LossScale {
	/** What the loss is multiplied by now. */
	scale: number;
	#good = 0;
	readonly #patience: number;

	/** @param patience steps without overflow until the scale doubles */
	constructor(scale = 2 ** 14, patience = 200) {
		this.scale = scale;
		this.#patience = patience;
	}

	/** Takes notice of a step: one that overflowed halves the scale. */
	update(finite: boolean): void {
		if (!finite) {
			this.scale = Math.max(1, this.scale / 2);
			this.#good = 0;
		} else if (++this.#good >= this.#patience) {
			this.scale = Math.min(2 ** 24, this.scale * 2);
			this.#good = 0;
		}
	}
}
