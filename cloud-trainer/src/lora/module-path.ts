import type { Graph, Node } from "@wattvox/onnx";
import type { Site } from "./sites.ts";

/** Names that exporters make up: `onnx::MatMul_123`, `val_12`, `_v_7`, `42`. */
const MADE_UP = /^(onnx::\w+|val|_v|_?const(ant)?|initializer)?_?\d+$/i;

/**
 * Gives each site the path of its module. In order: what the caller says; the initialiser's own name
 * without `.weight`; for a name that the exporter made up, the bias that is added behind the product,
 * then the node's name (`/encoder/layers.0/linear/MatMul`); else the initialiser's name as it is. Two
 * sites never share a path: the later one gets its kind appended.
 */
export function modulePaths(
	graph: Graph,
	sites: readonly Omit<Site, "module">[],
	names: Readonly<Record<string, string>>,
): Site[] {
	const readers = new Map<string, Node[]>();
	for (const node of graph.nodes)
		for (const i of node.inputs)
			readers.set(i, [...(readers.get(i) ?? []), node]);
	const taken = new Set<string>();
	return sites.map((site) => {
		const said = [site.weight, ...site.nodes.map((n) => n.name)]
			.map((n) => (Object.hasOwn(names, n) ? names[n] : undefined))
			.find((n) => n !== undefined);
		const base = said ?? derived(graph, site, readers);
		let module = base;
		for (let i = 1; taken.has(module); i++)
			module = `${base}.${site.kind}${i > 1 ? i : ""}`;
		taken.add(module);
		return { ...site, module };
	});
}

function derived(
	graph: Graph,
	site: Omit<Site, "module">,
	readers: ReadonlyMap<string, Node[]>,
): string {
	const own = /^(.+)\.weight(\.f16)?$/.exec(site.weight)?.[1];
	if (own) return own;
	if (!MADE_UP.test(site.weight)) return site.weight.replace(/\.f16$/, "");
	const node = site.nodes[0] as Node;
	for (const next of [node, ...(readers.get(node.outputs[0] ?? "") ?? [])])
		for (const input of next.op === "Add" || next === node ? next.inputs : []) {
			const bias = graph.initializers.has(input) && /^(.+)\.bias$/.exec(input);
			if (bias) return bias[1] as string;
		}
	return fromNodeName(node.name) || site.weight;
}

/**
 * The module path in a torch exporter's node name. Children of a Sequential are named with their
 * parent's name once more: `/layer1/layer1.0/conv1/Conv` is `layer1.0.conv1`.
 */
export function fromNodeName(name: string): string | undefined {
	const parts = name.split("/").filter(Boolean).slice(0, -1);
	const out: string[] = [];
	for (const part of parts) {
		if (out.length && part.startsWith(`${out.at(-1)}.`)) out.pop();
		out.push(part);
	}
	return out.join(".") || undefined;
}
