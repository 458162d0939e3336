import { type Graph, int64s, type Node, type Value } from "@wattvox/onnx";
import type { Differentiated } from "../autodiff/index.ts";

/** Operators that give something else each time, or hold graphs of their own: never run twice. */
const ONCE =
	/^(Random\w*|Bernoulli|Multinomial|Dropout|If|Loop|Scan|SequenceMap)$/;

/** What of a forward half a backward half reads, and what lies across each place to cut. */
export interface ForwardMap {
	nodes: readonly Node[];
	/** Index of the node that makes a value that moves with the batch. */
	maker: ReadonlyMap<string, number>;
	/** Last forward node that reads a value. */
	lastRead: ReadonlyMap<string, number>;
	/** Values that the backward half reads, and its first node that does. */
	firstUse: ReadonlyMap<string, number>;
	/** Values that are not made twice. */
	pinned: ReadonlySet<string>;
	/** Inputs that the batch feeds. */
	batch: ReadonlySet<string>;
}

/** Reads the structure that recomputation works on. @param fixed names of inputs that are parameters */
export function mapForward(
	d: Pick<Differentiated, "builder" | "forward">,
	fixed: ReadonlySet<string>,
): ForwardMap {
	const { graph } = d.builder;
	const nodes = graph.nodes.slice(0, d.forward);
	const batch = new Set(
		graph.inputs.map((v) => v.name).filter((n) => !fixed.has(n)),
	);
	const moving = new Set(batch);
	const maker = new Map<string, number>();
	const lastRead = new Map<string, number>();
	const firstUse = new Map<string, number>();
	const pinned = new Set<string>();
	for (const [i, node] of nodes.entries()) {
		for (const name of node.inputs) lastRead.set(name, i);
		const inner = Object.values(node.attrs).some((a) => a.kind === "graph");
		if (
			!inner &&
			!node.inputs.some((n) => moving.has(n)) &&
			!ONCE.test(node.op)
		)
			continue;
		for (const name of node.outputs) {
			if (!name) continue;
			moving.add(name);
			maker.set(name, i);
			if (inner || ONCE.test(node.op)) pinned.add(name);
		}
	}
	for (const [i, node] of graph.nodes.entries()) {
		if (i < d.forward) continue;
		for (const name of node.inputs)
			if (maker.has(name) && !firstUse.has(name)) firstUse.set(name, i);
		for (const attr of Object.values(node.attrs))
			if (attr.kind === "graph")
				for (const name of namesIn(attr.value)) pinned.add(name);
	}
	for (const attr of nodes.flatMap((n) => Object.values(n.attrs)))
		if (attr.kind === "graph")
			for (const name of namesIn(attr.value)) {
				pinned.add(name);
				// What an inner graph reads stays alive; where it is read last is not followed.
				lastRead.set(name, nodes.length);
			}
	return { nodes, maker, lastRead, firstUse, pinned, batch };
}

function namesIn(graph: Graph): string[] {
	return graph.nodes.flatMap((n) => [
		...n.inputs,
		...Object.values(n.attrs).flatMap((a) =>
			a.kind === "graph" ? namesIn(a.value) : [],
		),
	]);
}

/** The segment of a node: how many cuts lie before it. A cut at c ends a segment with node c - 1. */
const segmentOf = (cuts: readonly number[], index: number): number =>
	cuts.filter((c) => c <= index).length;

/** True for a value that a later segment of the forward half reads: it is kept, not made again. */
const crosses = (
	f: ForwardMap,
	cuts: readonly number[],
	name: string,
): boolean =>
	segmentOf(cuts, f.lastRead.get(name) ?? 0) >
	segmentOf(cuts, f.maker.get(name) ?? 0);

/** Values of each segment that would be made again: what the backward half reads and no cut keeps. */
export function remade(f: ForwardMap, cuts: readonly number[]): string[][] {
	const out: string[][] = Array.from({ length: cuts.length + 1 }, () => []);
	for (const name of f.firstUse.keys()) {
		const s = segmentOf(cuts, f.maker.get(name) ?? 0);
		if (s < cuts.length && !crosses(f, cuts, name) && !f.pinned.has(name))
			out[s]?.push(name);
	}
	return out;
}

/**
 * Makes the backward half compute activations again, segment by segment, in place of reading those of
 * the forward half, which may then be freed. Gradients are the same numbers.
 *
 * Without more, ONNX Runtime would run the second forward pass early, or see that it equals the first
 * and drop it. So everything that a segment reads from outside goes through a barrier: a Reshape to its
 * own shape plus a zero that depends on the gradient arriving at the segment's end. No rule of ONNX
 * Runtime sees through IsNaN.
 *
 * @param cuts ascending indices of forward nodes; each begins a new segment, the last of which is not
 * computed again
 * @returns how many nodes were added
 */
export function recompute(
	d: Differentiated,
	f: ForwardMap,
	cuts: readonly number[],
): number {
	const { graph } = d.builder;
	const again = new Map<string, string>();
	const inserted = new Map<number, Node[]>();
	for (const [s, names] of remade(f, cuts).entries()) {
		if (names.length === 0) continue;
		const at = Math.min(...names.map((n) => f.firstUse.get(n) ?? Infinity));
		const anchor = anchorOf(d, f, cuts, s, at);
		if (!anchor) continue;
		const copies = new Segment(d, f, cuts, s, anchor);
		for (const name of names) again.set(name, copies.value(name));
		inserted.set(at, [...(inserted.get(at) ?? []), ...copies.nodes]);
	}
	const nodes: Node[] = [];
	let added = 0;
	for (const [i, node] of graph.nodes.entries()) {
		const before = inserted.get(i);
		if (before) nodes.push(...before);
		added += before?.length ?? 0;
		nodes.push(
			i < d.forward
				? node
				: { ...node, inputs: node.inputs.map((n) => again.get(n) ?? n) },
		);
	}
	graph.nodes = nodes;
	return added;
}

/**
 * The gradient that arrives at a segment's end: the newest cotangent, made before node `at`, of a value
 * that crosses the cut.
 */
function anchorOf(
	d: Differentiated,
	f: ForwardMap,
	cuts: readonly number[],
	s: number,
	at: number,
): Value | undefined {
	const end = cuts[s] ?? f.nodes.length;
	for (const { name, cotangent, at: made } of [...d.history].reverse()) {
		const maker = f.maker.get(name);
		if (
			made <= at &&
			maker !== undefined &&
			maker < end &&
			(f.lastRead.get(name) ?? 0) >= end
		)
			return cotangent;
	}
	return undefined;
}

/** One segment's second pass as it is written. */
class Segment {
	readonly nodes: Node[] = [];
	readonly #f: ForwardMap;
	readonly #cuts: readonly number[];
	readonly #s: number;
	readonly #moving: (name: string) => boolean;
	readonly #names = new Map<string, string>();
	readonly #zero: string;

	constructor(
		d: Differentiated,
		f: ForwardMap,
		cuts: readonly number[],
		s: number,
		anchor: Value,
	) {
		this.#f = f;
		this.#cuts = cuts;
		this.#s = s;
		this.#moving = (n) => f.maker.has(n) || f.batch.has(n);
		this.#zero = this.#zeroOf(d, anchor);
	}

	/** The name of a value's second making. */
	value(name: string): string {
		const known = this.#names.get(name);
		if (known) return known;
		const maker = this.#f.maker.get(name);
		const inside =
			maker !== undefined &&
			segmentOf(this.#cuts, maker) === this.#s &&
			!crosses(this.#f, this.#cuts, name) &&
			!this.#f.pinned.has(name);
		return inside ? this.#copy(maker, name) : this.#behindBarrier(name);
	}

	#copy(maker: number, name: string): string {
		const node = this.#f.nodes[maker] as Node;
		const inputs = node.inputs.map((n) =>
			n && this.#moving(n) ? this.value(n) : n,
		);
		for (const o of node.outputs) if (o) this.#names.set(o, `${o}.again`);
		this.nodes.push({
			...node,
			name: `${node.name}.again`,
			inputs,
			outputs: node.outputs.map((o) => o && `${o}.again`),
		});
		return this.#names.get(name) as string;
	}

	#behindBarrier(name: string): string {
		const out = `${name}.again.${this.#s}`;
		this.#add("Shape", [name], `${out}.shape`);
		this.#add("Add", [`${out}.shape`, this.#zero], `${out}.late`);
		this.#add("Reshape", [name, `${out}.late`], out);
		this.#names.set(name, out);
		return out;
	}

	#add(op: string, inputs: string[], out: string, attrs: Node["attrs"] = {}) {
		this.nodes.push({
			op,
			domain: "",
			name: out,
			inputs,
			outputs: [out],
			attrs,
		});
	}

	/** An int64 [1] that is 0 and not known before the gradient is. */
	#zeroOf(d: Differentiated, anchor: Value): string {
		const { builder: b } = d;
		const of = (values: number[]) => b.constant(int64s(values)).name;
		const part = (name: string) => `${anchor.name}.barrier.${this.#s}.${name}`;
		this.#add("Reshape", [anchor.name, of([-1])], part("flat"));
		this.#add("Slice", [part("flat"), of([0]), of([1]), of([0])], part("one"));
		this.#add("IsNaN", [part("one")], part("nan"));
		this.#add("Cast", [part("nan")], part("int"), {
			to: { kind: "int", value: 7 },
		});
		this.#add("Mul", [part("int"), of([0])], part("zero"));
		return part("zero");
	}
}
