import { WattvoxError } from "@wattvox/core";
import { seededRandom } from "@wattvox/models";
import {
	floats,
	type Graph,
	GraphBuilder,
	inferTypes,
	loraKey,
	type Node,
	type Tensor,
	zeros,
} from "@wattvox/onnx";

/** A low-rank adapter's settings (arXiv 2106.09685). */
export interface LoraOptions {
	rank: number;
	alpha: number;
	/** Scale alpha/sqrt(rank) in place of alpha/rank (arXiv 2312.03732). */
	rsLora?: boolean;
	/** Which weights get a pair, by initialiser name. */
	targets: RegExp;
	seed: number;
}

/** What multiplies B A x. */
export const loraScale = (
	o: Pick<LoraOptions, "rank" | "alpha" | "rsLora">,
): number => o.alpha / (o.rsLora ? Math.sqrt(o.rank) : o.rank);

/** A graph with adapters at its weights. */
export interface Injected {
	graph: Graph;
	/** Names of the adapter's initialisers, A [in, r] and B [r, out] of each pair. */
	trainable: string[];
	/** Names of the weights that got a pair. */
	adapted: string[];
}

const A = (name: string) => `${name}.lora_A`;
const B = (name: string) => `${name}.lora_B`;

/**
 * Puts a low-rank pair beside each MatMul whose weight matches: y = x W becomes y = x W + s (x A) B.
 * A is drawn uniformly as PEFT does it (Kaiming, a = sqrt 5), B is zero, so nothing changes at first.
 * @throws WattvoxError E_MODEL when no weight matches
 */
export function injectLora(graph: Graph, o: LoraOptions): Injected {
	const random = seededRandom(o.seed);
	const out: Graph = {
		...graph,
		nodes: [],
		initializers: new Map(graph.initializers),
		opsets: { ...graph.opsets },
	};
	const b = new GraphBuilder(out, inferTypes(graph));
	const adapted = new Set<string>();
	const scale = b.scalar(loraScale(o));
	for (const node of graph.nodes) {
		const name = weightOf(graph, node);
		if (!name || !o.targets.test(name)) {
			out.nodes.push(node);
			continue;
		}
		const [rows = 0, cols = 0] = graph.initializers.get(name)?.dims ?? [];
		if (!adapted.has(name)) {
			out.initializers.set(A(name), uniform(rows, o.rank, random));
			out.initializers.set(B(name), zeros([o.rank, cols]));
			b.weightKnown(A(name));
			b.weightKnown(B(name));
			adapted.add(name);
		}
		const plain = `${node.outputs[0]}.base`;
		const [base] = b.append({
			...node,
			name: `${node.name}.base`,
			outputs: [plain],
		});
		const x = b.value(node.inputs[0] as string);
		const low = b.mul(b.matmul(x, b.value(A(name))), scale);
		const delta = b.matmul(low, b.value(B(name)));
		b.append({
			op: "Add",
			domain: "",
			name: node.name,
			inputs: [base?.name ?? plain, delta.name],
			outputs: node.outputs,
			attrs: {},
		});
	}
	if (adapted.size === 0)
		throw new WattvoxError("E_MODEL", `no MatMul weight matches ${o.targets}`);
	return {
		graph: out,
		adapted: [...adapted],
		trainable: [...adapted].flatMap((n) => [A(n), B(n)]),
	};
}

/** The two-dimensional initialiser that a MatMul multiplies by, if it does. */
function weightOf(graph: Graph, node: Node): string | undefined {
	if (node.op !== "MatMul" || node.domain) return undefined;
	const name = node.inputs[1];
	return name && graph.initializers.get(name)?.dims.length === 2
		? name
		: undefined;
}

/** PEFT's start of A: uniform within 1/sqrt(in) (Kaiming with a = sqrt 5). */
function uniform(rows: number, rank: number, random: () => number): Tensor {
	const bound = 1 / Math.sqrt(rows);
	const data = Float32Array.from(
		{ length: rows * rank },
		() => (2 * random() - 1) * bound,
	);
	return floats(data, [rows, rank]);
}

function transpose(t: Tensor): Tensor {
	const [rows = 0, cols = 0] = t.dims;
	const data = new Float32Array(rows * cols);
	const source = t.data as Float32Array;
	for (let i = 0; i < rows; i++)
		for (let j = 0; j < cols; j++)
			data[j * rows + i] = source[i * cols + j] ?? 0;
	return floats(data, [cols, rows]);
}

/** Trained pairs as PEFT keeps them: lora_A.weight [r, in], lora_B.weight [out, r]. */
export function toPeft(
	parameters: ReadonlyMap<string, Tensor>,
	adapted: readonly string[],
): Map<string, Tensor> {
	const out = new Map<string, Tensor>();
	for (const name of adapted) {
		const [a, b] = [parameters.get(A(name)), parameters.get(B(name))];
		if (!a || !b)
			throw new WattvoxError("E_BUG", `the adapter of ${name} was not trained`);
		out.set(loraKey(name, "A"), transpose(a));
		out.set(loraKey(name, "B"), transpose(b));
	}
	return out;
}

/** PEFT tensors as the initialisers of an injected graph. */
export function fromPeft(
	adapter: ReadonlyMap<string, Tensor>,
	adapted: readonly string[],
): Map<string, Tensor> {
	const out = new Map<string, Tensor>();
	for (const name of adapted)
		for (const [half, to] of [
			["A", A(name)],
			["B", B(name)],
		] as const) {
			const t = adapter.get(loraKey(name, half));
			if (t) out.set(to, transpose(t));
		}
	return out;
}
