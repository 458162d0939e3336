import { inferTypes } from "./infer.ts";
import { int64s, scalar } from "./tensor.ts";
import {
	type Attr,
	type Graph,
	intAttr,
	type Node,
	type Tensor,
	type ValueType,
} from "./types.ts";

const SEQUENCE_OPS = new Set([
	"SplitToSequence",
	"SequenceConstruct",
	"SequenceEmpty",
	"SequenceInsert",
	"SequenceErase",
	"SequenceAt",
	"SequenceLength",
	"ConcatFromSequence",
]);
const isSequenceOp = (n: Node): boolean => !n.domain && SEQUENCE_OPS.has(n.op);

/**
 * The graph with tensors in place of sequences whose elements are known: exporters write `split`,
 * `unbind` and lists of tensors so. SplitToSequence becomes Split where the sizes of its parts are known,
 * SequenceAt the element, ConcatFromSequence a Concat. Sequences that something else reads stay as well.
 * @throws WattvoxError E_MODEL for a graph that is not valid
 */
export function withoutSequences(graph: Graph): Graph {
	if (!graph.nodes.some(isSequenceOp)) return graph;
	const pass = new Pass(graph);
	const nodes = unread(graph, pass.run());
	// What was found may tell the sizes that others are split by.
	return pass.resolved
		? withoutSequences({ ...graph, nodes, initializers: pass.initializers })
		: graph;
}

/** The nodes without those that make sequences which nothing reads any more. */
function unread(graph: Graph, nodes: readonly Node[]): Node[] {
	const read = new Set(graph.outputs.map((v) => v.name));
	const kept: Node[] = [];
	for (const node of [...nodes].reverse()) {
		if (isSequenceOp(node) && !node.outputs.some((o) => read.has(o))) continue;
		for (const name of namesIn(node)) read.add(name);
		kept.push(node);
	}
	return kept.reverse();
}

/** Names that a node reads, those that its inner graphs mention included. */
const namesIn = (node: Node): string[] => [
	...node.inputs,
	...Object.values(node.attrs).flatMap((a) =>
		a.kind === "graph"
			? [
					...a.value.outputs.map((v) => v.name),
					...a.value.nodes.flatMap(namesIn),
				]
			: [],
	),
];

class Pass {
	readonly initializers: Map<string, Tensor>;
	/** Whether a value that is no sequence took the place of an operator on one. */
	resolved = false;
	readonly #graph: Graph;
	readonly #types: ReadonlyMap<string, ValueType>;
	/** Names of a sequence's elements. */
	readonly #elements = new Map<string, readonly string[]>();

	constructor(graph: Graph) {
		this.#graph = graph;
		this.#types = inferTypes(graph);
		this.initializers = new Map(graph.initializers);
	}

	run(): Node[] {
		return this.#graph.nodes.flatMap((node) => {
			const out = node.outputs[0] as string;
			const elements = this.#made(node);
			if (elements) {
				this.#elements.set(out, elements.names);
				// The sequence itself goes when nothing reads it.
				return [...elements.nodes, node];
			}
			const instead = this.#instead(node, out);
			if (!instead) return [node];
			this.resolved = true;
			return instead;
		});
	}

	/** The elements of the sequence that a node makes, with nodes that make them. */
	#made(node: Node): { names: readonly string[]; nodes: Node[] } | undefined {
		const { op, inputs } = node;
		const from = this.#elements.get(inputs[0] ?? "");
		if (op === "Identity" && from) return { names: from, nodes: [] };
		if (!isSequenceOp(node)) return undefined;
		if (op === "SequenceConstruct") return { names: inputs, nodes: [] };
		if (op === "SequenceEmpty") return { names: [], nodes: [] };
		if (op === "SplitToSequence") return this.#split(node);
		if (op === "SequenceInsert" && from)
			return this.#changed(from, inputs[2], from.length, (at) =>
				from.toSpliced(at, 0, inputs[1] as string),
			);
		if (op === "SequenceErase" && from)
			return this.#changed(from, inputs[1], from.length - 1, (at) =>
				from.toSpliced(at, 1),
			);
		return undefined;
	}

	#changed(
		from: readonly string[],
		position: string | undefined,
		last: number,
		change: (at: number) => string[],
	): { names: string[]; nodes: Node[] } | undefined {
		const given = position ? this.#ints(position)?.[0] : last;
		if (given === undefined) return undefined;
		return {
			names: change(given < 0 ? given + from.length : given),
			nodes: [],
		};
	}

	#split(node: Node): { names: string[]; nodes: Node[] } | undefined {
		const [x = "", by] = node.inputs;
		const out = node.outputs[0] as string;
		const shape = this.#types.get(x)?.shape;
		const given = intAttr(node, "axis", 0);
		const axis = given < 0 ? given + (shape?.length ?? 0) : given;
		const sizes = this.#sizes(by, shape?.[axis]);
		if (!sizes?.length || axis < 0) return undefined;
		const whole = `${out}#sizes`;
		const names = sizes.map((_, i) => `${out}#${i}`);
		// An earlier round has split it, and something still reads the sequence.
		if (this.initializers.has(whole)) return { names, nodes: [] };
		// Elements of one, their axis left out.
		const bare = !by && intAttr(node, "keepdims", 1) === 0;
		const parts = bare ? names.map((n) => `${n}#wide`) : names;
		this.initializers.set(whole, int64s(sizes));
		const nodes = [
			made("Split", [x, whole], parts, { axis: { kind: "int", value: axis } }),
		];
		if (bare) {
			const axes = `${out}#axis`;
			this.initializers.set(axes, int64s([axis]));
			for (const [i, name] of names.entries())
				nodes.push(made("Squeeze", [parts[i] as string, axes], [name]));
		}
		return { names, nodes };
	}

	/** Sizes of the parts: as they are listed, or as many of one size as there are, the last one smaller. */
	#sizes(
		by: string | undefined,
		length: number | string | undefined,
	): number[] | undefined {
		const given = by ? this.#ints(by) : [1];
		if (!given) return undefined;
		const one = !by || this.#types.get(by)?.shape?.length === 0;
		if (!one) return given;
		const size = given[0] ?? 0;
		if (typeof length !== "number" || size < 1) return undefined;
		return Array.from({ length: Math.ceil(length / size) }, (_, i) =>
			Math.min(size, length - i * size),
		);
	}

	/** What takes the place of an operator that makes a tensor of a known sequence. */
	#instead(node: Node, out: string): Node[] | undefined {
		const elements = this.#elements.get(node.inputs[0] ?? "");
		if (!elements || !isSequenceOp(node)) return undefined;
		if (node.op === "SequenceLength") {
			const length = BigInt64Array.of(BigInt(elements.length));
			this.initializers.set(out, {
				...scalar(0),
				dtype: "int64",
				data: length,
			});
			return [];
		}
		if (node.op === "SequenceAt") {
			const at = this.#ints(node.inputs[1] ?? "")?.[0];
			const name = at === undefined ? undefined : elements.at(at);
			return name ? [made("Identity", [name], [out])] : undefined;
		}
		if (node.op !== "ConcatFromSequence" || !elements.length) return undefined;
		const axis = intAttr(node, "axis", 0);
		const attrs: Node["attrs"] = { axis: { kind: "int", value: axis } };
		if (!intAttr(node, "new_axis", 0))
			return [made("Concat", [...elements], [out], attrs)];
		const axes = `${out}#axis`;
		this.initializers.set(axes, int64s([axis]));
		const wide = elements.map((_, i) => `${out}#${i}`);
		return [
			...elements.map((name, i) =>
				made("Unsqueeze", [name, axes], [wide[i] as string]),
			),
			made("Concat", wide, [out], attrs),
		];
	}

	#ints(name: string): number[] | undefined {
		const tensor = this.initializers.get(name);
		if (tensor) return Array.from(tensor.data as Int32Array, Number);
		const known = this.#types.get(name)?.ints;
		return known?.every((n) => typeof n === "number")
			? (known as number[])
			: undefined;
	}
}

const made = (
	op: string,
	inputs: string[],
	outputs: string[],
	attrs: Record<string, Attr> = {},
): Node => ({
	op,
	domain: "",
	name: outputs[0] as string,
	inputs,
	outputs,
	attrs,
});
