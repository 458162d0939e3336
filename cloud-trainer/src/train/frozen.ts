import { type Graph, opKey, type Tensor } from "@wattvox/onnx";
import { readsOf } from "./prune.ts";

/** Initialisers of fewer numbers stay in the model: they cost nothing, and ONNX Runtime folds them. */
const LEAST = 4096;

/** Operators that gain nothing from knowing a weight beforehand. */
const PLAIN = new Set([
	"MatMul",
	"com.microsoft.FusedMatMul",
	"Gemm",
	"Gather",
	"LayerNormalization",
]);

/**
 * Turns large weights that only products and look-ups read into inputs. As initialisers they would be
 * held by the model's bytes, by ONNX Runtime and, packed, by its kernels; as inputs they are fed without
 * a copy, at the same speed.
 */
export function liftFrozen(graph: Graph): {
	graph: Graph;
	frozen: Map<string, Tensor>;
} {
	const other = new Set(graph.outputs.map((v) => v.name));
	for (const node of graph.nodes)
		if (!PLAIN.has(opKey(node))) for (const n of readsOf(node)) other.add(n);
	const frozen = new Map<string, Tensor>();
	const initializers = new Map<string, Tensor>();
	for (const [name, t] of graph.initializers) {
		const plain = t.dtype === "float32" && t.data.length >= LEAST;
		(plain && !other.has(name) ? frozen : initializers).set(name, t);
	}
	const inputs = [...frozen].map(([name, t]) => ({
		name,
		dtype: t.dtype,
		shape: [...t.dims],
	}));
	return {
		graph: { ...graph, initializers, inputs: [...graph.inputs, ...inputs] },
		frozen,
	};
}
