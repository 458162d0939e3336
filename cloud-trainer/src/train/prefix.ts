import { type Graph, inferTypes, type Node, type Tensor } from "@wattvox/onnx";
import { readsOf, subgraph } from "./prune.ts";

/** A graph in two: what training cannot change, and the rest. */
export interface FrozenSplit {
	/** From the batch to what the rest takes of it. */
	prefix: Graph;
	/** The graph with the prefix's outputs as inputs. */
	rest: Graph;
	/** Their names. */
	boundary: string[];
}

/** Operators worth keeping the results of. */
const HEAVY =
	/^(MatMul|Gemm|FusedMatMul|Conv|ConvTranspose|Einsum|LSTM|GRU|Gather|Softmax|LayerNormalization)$/;

/**
 * Splits a graph before the first node that a trained weight reaches. For equal batches the prefix gives
 * equal results as long as training lasts.
 * @returns undefined when nothing worth keeping lies before the trained weights
 */
export function splitFrozen(
	graph: Graph,
	trainable: readonly string[],
): FrozenSplit | undefined {
	const types = inferTypes(graph);
	const trained = new Set(trainable);
	const batch = new Set(graph.inputs.map((v) => v.name));
	const frozen: Node[] = [];
	const later: Node[] = [];
	const fromBatch = new Set(batch);
	// Integers that follow from the batch without any float, such as positions, are made again by the
	// rest: that costs less than keeping them. ONNX Runtime 1.30 also crashes on a Range that is an output
	// and the index of a Gather.
	const again = new Set(batch);
	for (const node of graph.nodes) {
		const reads = readsOf(node);
		if (reads.some((n) => trained.has(n))) {
			for (const o of node.outputs) trained.add(o);
			later.push(node);
			continue;
		}
		// A value whose type nobody knows cannot become an input: it stays with the rest.
		const typed = node.outputs.every((o) => !o || types.get(o)?.shape);
		if (reads.some((n) => fromBatch.has(n)) && typed) {
			for (const o of node.outputs) if (o) fromBatch.add(o);
			frozen.push(node);
			const whole = (n: string) =>
				again.has(n) || (!fromBatch.has(n) && !trained.has(n));
			const light =
				reads.every(whole) &&
				node.outputs.every((o) =>
					/^u?int|bool/.test(types.get(o)?.dtype ?? ""),
				);
			if (!light) continue;
			later.push(node);
			for (const o of node.outputs) again.add(o);
		} else later.push(node);
	}
	if (!frozen.some((n) => HEAVY.test(n.op))) return undefined;
	const made = new Set(frozen.flatMap((n) => n.outputs));
	const outputs = graph.outputs.map((v) => v.name);
	const boundary = [
		...new Set(
			[...later.flatMap(readsOf), ...outputs].filter(
				(n) => made.has(n) && !again.has(n),
			),
		),
	];
	const cut: Graph = {
		...graph,
		nodes: later,
		inputs: [
			...graph.inputs,
			...boundary.map((name) => ({
				...(types.get(name) as { dtype: Tensor["dtype"]; shape: number[] }),
				name,
			})),
		],
	};
	return {
		prefix: subgraph({ ...graph, nodes: frozen }, boundary),
		// Outputs that training cannot move are the prefix's own: they are told by it.
		rest: subgraph(
			cut,
			outputs.filter((n) => !made.has(n) || again.has(n)),
		),
		boundary,
	};
}

/** Results by key, up to so many bytes; what does not fit any more is computed each time. */
export class PrefixCache {
	readonly #kept = new Map<string, Record<string, Tensor>>();
	readonly #most: number;
	#bytes = 0;
	/** Batches that were found, and that were not. */
	hits = 0;
	misses = 0;

	constructor(most: number) {
		this.#most = most;
	}

	/** The results kept under a key, or those of `make`. Without a key nothing is kept. */
	async get(
		key: string | undefined,
		make: () => Promise<Record<string, Tensor>>,
	): Promise<Record<string, Tensor>> {
		const known = key === undefined ? undefined : this.#kept.get(key);
		if (known) {
			this.hits++;
			return known;
		}
		this.misses++;
		const made = await make();
		let size = 0;
		for (const t of Object.values(made)) size += t.data.byteLength;
		if (key !== undefined && this.#bytes + size <= this.#most) {
			this.#kept.set(key, made);
			this.#bytes += size;
		}
		return made;
	}
}
