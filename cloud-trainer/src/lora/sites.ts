import {
	type Graph,
	intAttr,
	intsAttr,
	type Node,
	type Tensor,
} from "@wattvox/onnx";
import { modulePaths } from "./module-path.ts";

/** How a weight is used: what decides the shapes of its pair and how it is merged. */
export type SiteKind =
	| "matmul"
	| "gemm"
	| "conv"
	| "conv-transpose"
	| "embedding";

/** A weight that can take a low-rank pair, and the nodes that use it in one way. */
export interface Site {
	/** Path of the module that the weight belongs to, as PEFT would name it: `encoder.layers.0.linear`. */
	module: string;
	/** Name of the initialiser that holds the weight. */
	weight: string;
	kind: SiteKind;
	/** Nodes that read it so. */
	nodes: Node[];
	/** True when the initialiser of a linear weight is [out, in]. */
	transposed: boolean;
	/** True when the nodes read it through a Cast: then it may be kept in another precision. */
	cast: boolean;
	/** Inputs: features of a linear weight, channels of a Conv, rows of an embedding. */
	in: number;
	/** Outputs: features, channels, width of a row. */
	out: number;
	/** Sizes of a convolution's kernel; empty for the others. */
	kernel: number[];
	/** Groups of a Conv; 1 for the others. */
	groups: number;
}

/**
 * Every weight of a graph that can take a pair: second operands of MatMul and Gemm, kernels of Conv, and
 * of ConvTranspose without groups, tables that Gather reads along axis 0. A weight may lie behind Transpose, Cast and
 * Identity. One that is used in two ways (a tied embedding) makes two sites.
 * @param names module path by initialiser or node name, before anything that is derived
 */
export function findSites(
	graph: Graph,
	names: Readonly<Record<string, string>> = {},
): Site[] {
	const makers = new Map<string, Node>();
	for (const node of graph.nodes)
		for (const o of node.outputs) makers.set(o, node);
	const found = new Map<string, Omit<Site, "module">>();
	for (const node of graph.nodes) {
		const use = useOf(node);
		if (!use) continue;
		const held = holder(graph, makers, node.inputs[use.at] ?? "");
		const site = held && siteOf(node, use.kind, held);
		if (!site) continue;
		const key = [site.weight, site.kind, site.transposed].join("\0");
		const known = found.get(key);
		if (known) known.nodes.push(node);
		else found.set(key, site);
	}
	return modulePaths(graph, [...found.values()], names);
}

function useOf(node: Node): { kind: SiteKind; at: number } | undefined {
	if (node.domain) return undefined;
	switch (node.op) {
		case "MatMul":
			return { kind: "matmul", at: 1 };
		case "Gemm":
			return { kind: "gemm", at: 1 };
		case "Conv":
			return { kind: "conv", at: 1 };
		case "ConvTranspose":
			return intAttr(node, "group", 1) === 1
				? { kind: "conv-transpose", at: 1 }
				: undefined;
		case "Gather":
			return intAttr(node, "axis", 0) === 0
				? { kind: "embedding", at: 0 }
				: undefined;
		default:
			return undefined;
	}
}

interface Held {
	name: string;
	tensor: Tensor;
	flipped: boolean;
	cast: boolean;
}

/** The initialiser behind a value, through what only turns or rounds it. */
function holder(
	graph: Graph,
	makers: ReadonlyMap<string, Node>,
	from: string,
): Held | undefined {
	let [name, flipped, cast] = [from, false, false];
	for (;;) {
		const tensor = graph.initializers.get(name);
		if (tensor) return { name, tensor, flipped, cast };
		const maker = makers.get(name);
		if (!maker || maker.domain) return undefined;
		if (maker.op === "Transpose") {
			if ((intsAttr(maker, "perm") ?? [1, 0]).join() !== "1,0")
				return undefined;
			flipped = !flipped;
		} else if (maker.op === "Cast") cast = true;
		else if (maker.op !== "Identity") return undefined;
		name = maker.inputs[0] ?? "";
	}
}

function siteOf(
	node: Node,
	kind: SiteKind,
	{ name, tensor, flipped, cast }: Held,
): Omit<Site, "module"> | undefined {
	if (!/float/.test(tensor.dtype)) return undefined;
	const [first = 0, second = 0, ...kernel] = tensor.dims;
	const site = {
		weight: name,
		kind,
		nodes: [node],
		cast,
		kernel: [],
		groups: 1,
	};
	if (kind === "conv") {
		const groups = intAttr(node, "group", 1);
		const ins = second * groups;
		return tensor.dims.length < 3 || flipped
			? undefined
			: { ...site, transposed: false, in: ins, out: first, kernel, groups };
	}
	if (kind === "conv-transpose")
		return tensor.dims.length < 3 || flipped
			? undefined
			: { ...site, transposed: false, in: first, out: second, kernel };
	if (tensor.dims.length !== 2) return undefined;
	const transposed =
		flipped !== (kind === "gemm" && intAttr(node, "transB", 0) === 1);
	return transposed
		? { ...site, transposed, in: second, out: first }
		: { ...site, transposed, in: first, out: second };
}
