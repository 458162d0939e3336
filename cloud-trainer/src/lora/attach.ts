import { WattvoxError } from "@wattvox/core";
import {
	castFloat,
	type Graph,
	hoistConstants,
	type Node,
	sizeOf,
	type Tensor,
} from "@wattvox/onnx";
import { type Injected, injectLora } from "./inject.ts";
import { pairShapes, placeOf, relaid, turned } from "./pair.ts";
import { type Adapter, type PeftPair, pairsOf } from "./peft.ts";
import { withSaved } from "./saved.ts";
import { findSites, type Site } from "./sites.ts";
import { escapeRegExp, someOf } from "./targets.ts";

/** How an adapter's modules are found in a graph. */
export interface AttachOptions {
	/** Module path by initialiser or node name, where the derived one is not wanted. */
	modules?: Readonly<Record<string, string>>;
	/** Leave out modules that the graph does not have, instead of failing. */
	partial?: boolean;
}

/**
 * The site of each pair. A module is found by its path; by its weight's name; or where one path ends
 * in the other from a dot on, if that is unambiguous (`model.encoder.q` in the adapter, `encoder.q` in
 * the graph).
 * @throws WattvoxError E_MODEL for modules that the graph lacks, and for shapes that do not fit
 */
export function pairsAtSites(
	graph: Graph,
	pairs: readonly PeftPair[],
	o: AttachOptions = {},
): { site: Site; pair: PeftPair }[] {
	const sites = findSites(graph, o.modules);
	const found: { site: Site; pair: PeftPair }[] = [];
	const missing: string[] = [];
	for (const pair of pairs) {
		const fitting = sites.filter(
			(s) => (s.kind === "embedding") === pair.embedding,
		);
		const { module } = pair;
		const ends = (a: string, b: string) => a.endsWith(`.${b}`);
		const near = fitting.filter(
			(s) => ends(s.module, module) || ends(module, s.module),
		);
		const site =
			fitting.find((s) => s.module === module || s.weight === module) ??
			(near.length === 1 ? near[0] : undefined);
		if (!site) {
			missing.push(module);
			continue;
		}
		checkShapes(site, pair);
		found.push({ site, pair });
	}
	if (found.length === 0 || (missing.length && !o.partial))
		throw new WattvoxError(
			"E_MODEL",
			`the model has no ${someOf(missing)} that the adapter adapts; the model's modules are: ${someOf(sites.map((s) => s.module))}`,
		);
	return found;
}

function checkShapes(site: Site, { module, a, b, rank }: PeftPair): void {
	const { peftA, peftB } = pairShapes(site, rank);
	if (a.dims.join() === peftA.join() && b.dims.join() === peftB.join()) return;
	throw new WattvoxError(
		"E_MODEL",
		`the adapter of ${module} is A [${a.dims}], B [${b.dims}]; the ${site.kind} weight ${site.weight} takes [${site.in}${site.kernel.map((k) => `, ${k}`).join("")}] to [${site.out}]: A [${peftA}], B [${peftB}]`,
	);
}

/** Puts an adapter's pairs beside a graph's weights, unmerged. @throws WattvoxError as pairsAtSites does */
export function attachLora(
	from: Graph,
	adapter: Adapter,
	o: AttachOptions = {},
): Injected {
	const graph = withSaved(hoistConstants(from), adapter, o);
	const found = pairsAtSites(graph, pairsOf(adapter), o);
	const each = (value: (p: PeftPair) => number) =>
		Object.fromEntries(
			found.map(({ site, pair }) => [escapeRegExp(site.module), value(pair)]),
		);
	const targets = found.map(
		({ site }) => new RegExp(`^${escapeRegExp(site.module)}$`),
	);
	const settings = {
		rank: 1,
		alpha: 1,
		seed: 0,
		targets,
		rankPattern: each((p) => p.rank),
		// scale = alpha / rank
		alphaPattern: each((p) => p.scale * p.rank),
		...(o.modules ? { modules: o.modules } : {}),
	};
	const names = injectLora(graph, settings);
	const values = new Map<string, Tensor>();
	for (const [i, site] of names.sites.entries()) {
		const pair = found.find((f) => f.site.module === site.module)?.pair;
		for (const [j, half] of (["A", "B"] as const).entries()) {
			const t = half === "A" ? pair?.a : pair?.b;
			if (t)
				values.set(names.trainable[2 * i + j] as string, relaid(site, half, t));
		}
	}
	return injectLora(graph, settings, values);
}

/**
 * Adds scale * B A to each adapted weight: plain ONNX again, whose outputs are those of the graph with
 * the pairs beside it. A weight that something else reads too (a tied embedding) is copied first; a Conv
 * with groups becomes one without, since a pair sees all channels. The given graph's tensors stay as they
 * are.
 * @returns the graph and the modules that changed
 * @throws WattvoxError as pairsAtSites does
 */
export function mergeAdapter(
	from: Graph,
	adapter: Adapter,
	o: AttachOptions = {},
): { graph: Graph; merged: string[] } {
	const graph = withSaved(hoistConstants(from), adapter, o);
	const initializers = new Map(graph.initializers);
	const rewired = new Map<Node, Node>();
	const merged: string[] = [];
	for (const { site, pair } of pairsAtSites(graph, pairsOf(adapter), o)) {
		const base = initializers.get(site.weight) as Tensor;
		const alone = usersOf(graph, site.weight).every((n) =>
			site.nodes.includes(n),
		);
		const stored = site.kind === "conv" || site.transposed;
		const { groups } = site;
		const w = ungrouped(castFloat(base, "float32"), groups);
		const sum = added(w, { ...pair, b: ungrouped(pair.b, groups) }, stored);
		const as = site.cast ? "float32" : base.dtype;
		if (alone && groups === 1)
			initializers.set(site.weight, castFloat(sum, as));
		else {
			if (alone) initializers.delete(site.weight);
			const name = `${site.module}.merged`;
			// MatMul and Gather read [in, out]; Gemm can be told.
			const own =
				site.transposed && /matmul|embedding/.test(site.kind)
					? turned(sum)
					: sum;
			initializers.set(name, castFloat(own, as));
			for (const node of site.nodes)
				rewired.set(node, readingFrom(node, site, name));
		}
		merged.push(site.module);
	}
	const nodes = graph.nodes.map((n) => rewired.get(n) ?? n);
	return { graph: { ...graph, nodes, initializers }, merged };
}

/** A kernel [out, in / groups, k...] and a B [out, r / groups, 1...] without groups: zeros between them. */
function ungrouped(t: Tensor, groups: number): Tensor {
	if (groups === 1) return t;
	const [out = 0, own = 0, ...kernel] = t.dims;
	const size = sizeOf(kernel);
	const row = own * size;
	const data = new Float32Array(out * groups * row);
	for (let o = 0; o < out; o++) {
		const group = Math.floor((o * groups) / out);
		const from = (t.data as Float32Array).subarray(o * row, (o + 1) * row);
		data.set(from, (o * groups + group) * row);
	}
	return { dtype: "float32", dims: [out, own * groups, ...kernel], data };
}

/** A node that reads a weight of its own in place of the shared one behind whatever turned it. */
function readingFrom(node: Node, site: Site, name: string): Node {
	const at = site.kind === "embedding" ? 0 : 1;
	const inputs = node.inputs.map((n, i) => (i === at ? name : n));
	if (site.groups > 1) {
		const { group: _, ...attrs } = node.attrs;
		return { ...node, inputs, attrs };
	}
	if (site.kind === "gemm")
		return {
			...node,
			inputs,
			attrs: {
				...node.attrs,
				transB: { kind: "int", value: site.transposed ? 1 : 0 },
			},
		};
	return { ...node, inputs };
}

/** Nodes that read an initialiser, also through Transpose, Cast and Identity. */
function usersOf(graph: Graph, name: string): Node[] {
	const users: Node[] = [];
	const names = new Set([name]);
	for (const node of graph.nodes) {
		if (!node.inputs.some((i) => names.has(i))) continue;
		if (/^(Transpose|Cast|Identity)$/.test(node.op) && !node.domain)
			for (const o of node.outputs) names.add(o);
		else users.push(node);
	}
	return users;
}

/** W + scale B A for W [in, out, kernel], or [out, in, kernel] when `stored` turned. */
function added(w: Tensor, { a, b, rank, scale }: PeftPair, stored: boolean) {
	const out = b.dims[0] ?? 0;
	const ins = sizeOf(a.dims) / rank;
	const data = Float32Array.from(w.data as Float32Array);
	const [A, B] = [a.data as Float32Array, b.data as Float32Array];
	const row = new Float64Array(ins);
	const size = sizeOf(a.dims.slice(2));
	for (let o = 0; o < out; o++) {
		row.fill(0);
		for (let k = 0; k < rank; k++) {
			const f = scale * (B[o * rank + k] ?? 0);
			for (let i = 0; i < ins; i++)
				row[i] = (row[i] ?? 0) + f * (A[k * ins + i] ?? 0);
		}
		for (let i = 0; i < ins; i++) {
			const at = stored ? o * ins + i : placeOf(i, o, out, size);
			data[at] = (data[at] ?? 0) + (row[i] ?? 0);
		}
	}
	return { dtype: "float32" as const, dims: w.dims, data };
}
