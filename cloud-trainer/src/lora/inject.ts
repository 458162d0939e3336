import { WattvoxError } from "@wattvox/core";
import { seededRandom } from "@wattvox/models";
import {
	castFloat,
	float,
	floatAttr,
	type Graph,
	hoistConstants,
	intAttr,
	type Node,
	scalar,
	type Tensor,
} from "@wattvox/onnx";
import { freshPair, pairName, peftKey, relaid } from "./pair.ts";
import { findSites, type Site } from "./sites.ts";
import { type Pattern, patternValue, someOf, targeted } from "./targets.ts";

/** A low-rank adapter's settings (arXiv 2106.09685). */
export interface LoraOptions {
	rank: number;
	alpha: number;
	/** Scale alpha/sqrt(rank) in place of alpha/rank (arXiv 2312.03732). */
	rsLora?: boolean;
	/** Which weights get a pair, by module path or initialiser name. */
	targets: Pattern | readonly Pattern[];
	seed: number;
	/** Ranks and alphas of modules whose path matches a regular expression, as in PEFT's config. */
	rankPattern?: Readonly<Record<string, number>>;
	alphaPattern?: Readonly<Record<string, number>>;
	/** Module path by initialiser or node name, where the derived one is not wanted. */
	modules?: Readonly<Record<string, string>>;
}

/** What multiplies B A x. */
export const loraScale = (
	o: Pick<LoraOptions, "rank" | "alpha" | "rsLora">,
): number => o.alpha / (o.rsLora ? Math.sqrt(o.rank) : o.rank);

/** A weight with its pair. */
export interface AdaptedSite extends Site {
	rank: number;
	/** What multiplies B A. */
	scale: number;
}

/** A graph with adapters at its weights. */
export interface Injected {
	graph: Graph;
	/** Names of the adapter's initialisers, A and B of each pair (shapes: `pairShapes`). */
	trainable: string[];
	/** Names of the weights that got a pair. */
	adapted: string[];
	sites: AdaptedSite[];
}

/**
 * Puts a low-rank pair beside each weight that matches: y = x W becomes y = x W + s (x A) B; a Conv
 * gets a Conv with r channels and a 1x1 Conv behind it, a ConvTranspose a ConvTranspose and a 1x1 Conv,
 * an embedding a table of r columns and a product. The pairs start as PEFT starts them, so nothing changes at first.
 * @param pairs trained halves by initialiser name, in place of fresh ones
 * @throws WattvoxError E_MODEL when no weight matches, E_USAGE for a rank that is none
 */
export function injectLora(
	from: Graph,
	o: LoraOptions,
	pairs?: ReadonlyMap<string, Tensor>,
): Injected {
	const graph = hoistConstants(from);
	const all = findSites(graph, o.modules);
	const chosen = targeted(all, o.targets);
	if (chosen.length === 0)
		throw new WattvoxError(
			"E_MODEL",
			`no weight matches ${[o.targets].flat().join(", ")}; the model's are: ${someOf(all.map((s) => s.module))}`,
		);
	const ranked = chosen.map((s) => withRank(s, o));
	// As in PEFT the ranks are dealt out to the groups; a depthwise kernel is passed over.
	const sites = ranked.filter((s) => s.rank % s.groups === 0);
	if (sites.length === 0)
		throw new WattvoxError(
			"E_MODEL",
			`${someOf(ranked.map((s) => `${s.module} has ${s.groups} groups`))}: the rank must be a multiple of them`,
		);
	const random = seededRandom(o.seed);
	const initializers = new Map(graph.initializers);
	const names = new Map<string, [string, string]>();
	for (const site of sites) {
		const fresh = freshPair(site, site.rank, random);
		const keys = halves(site, sites);
		for (const [i, half] of (["A", "B"] as const).entries()) {
			const name = keys[i] as string;
			const given = pairs?.get(name) ?? fresh[half];
			const dtype = site.cast
				? "float32"
				: (graph.initializers.get(site.weight)?.dtype ?? "float32");
			initializers.set(name, castFloat(given, dtype));
		}
		names.set(site.module, keys);
	}
	const beside = new Map<Node, AdaptedSite>();
	for (const site of sites)
		for (const node of site.nodes) beside.set(node, site);
	const nodes: Node[] = [];
	for (const node of graph.nodes) {
		const site = beside.get(node);
		if (!site) nodes.push(node);
		else
			nodes.push(
				...withPair(node, site, names.get(site.module) as never, initializers),
			);
	}
	return {
		graph: {
			...graph,
			opsets: { ...graph.opsets },
			nodes,
			initializers,
		},
		adapted: sites.map((s) => s.weight),
		trainable: sites.flatMap((s) => names.get(s.module) ?? []),
		sites,
	};
}

/** What {@link inject} is asked: a rank; the rest has defaults. */
export type InjectOptions = Pick<LoraOptions, "rank"> & Partial<LoraOptions>;

/** A graph with adapters, and the settings that they were made with. */
export interface InjectedLora extends Injected {
	lora: LoraOptions;
}

/**
 * {@link injectLora} with defaults: every weight that can take a pair of PEFT's, alpha twice the rank, seed 1.
 * `fit({ ...inject(graph, { rank: 8 }), ... })` trains the pairs, `savePeft` writes them.
 * @throws WattvoxError as injectLora does
 */
export function inject(graph: Graph, o: InjectOptions): InjectedLora {
	const lora = { alpha: 2 * o.rank, targets: "*", seed: 1, ...o };
	return { ...injectLora(graph, lora), lora };
}

/** @throws WattvoxError E_USAGE for a rank that is none */
export function checkRank(rank: number): void {
	if (!Number.isInteger(rank) || rank < 1)
		throw new WattvoxError("E_USAGE", `a rank of ${rank} is none`);
}

function withRank(site: Site, o: LoraOptions): AdaptedSite {
	const rank = patternValue(o.rankPattern, site.module) ?? o.rank;
	const alpha = patternValue(o.alphaPattern, site.module) ?? o.alpha;
	checkRank(rank);
	return {
		...site,
		rank,
		scale: loraScale({ rank, alpha, rsLora: o.rsLora ?? false }),
	};
}

/** Names of a site's halves: after its weight, or after its module where two sites share the weight. */
export function halves(site: Site, sites: readonly Site[]): [string, string] {
	const shared = sites.some((s) => s !== site && s.weight === site.weight);
	const of = shared ? site.module : site.weight;
	return [pairName(of, "A"), pairName(of, "B")];
}

/** The node under another output name, and its pair's path beside it. */
function withPair(
	node: Node,
	site: AdaptedSite,
	[a, b]: [string, string],
	initializers: Map<string, Tensor>,
): Node[] {
	const out = node.outputs[0] as string;
	const named = (part: string) => `${out}.lora.${part}`;
	const made = (
		op: string,
		part: string,
		inputs: string[],
		attrs: Node["attrs"] = {},
	): Node => ({
		op,
		domain: "",
		name: named(part),
		inputs,
		outputs: [named(part)],
		attrs,
	});
	const gain =
		site.scale * (site.kind === "gemm" ? floatAttr(node, "alpha", 1) : 1);
	// The serial number marks it as a constant, which is not trained.
	const factor = `lora.scale.${gain}.const_0`;
	const dtype = initializers.get(a)?.dtype ?? "float32";
	initializers.set(factor, castFloat(scalar(gain), dtype));
	const base: Node = {
		...node,
		name: `${node.name}.base`,
		outputs: [`${out}.base`],
	};
	const path: Node[] = [];
	const x = node.inputs[site.kind === "embedding" ? 1 : 0] as string;
	const slides = /conv/.test(site.kind);
	if (slides) {
		const { group: _, ...attrs } = node.attrs;
		path.push(made(node.op, "low", [x, a], attrs));
	} else if (site.kind === "embedding")
		path.push(
			made("Gather", "low", [a, x], { axis: { kind: "int", value: 0 } }),
		);
	else if (site.kind === "gemm" && intAttr(node, "transA", 0))
		path.push(
			made("Gemm", "low", [x, a], {
				transA: { kind: "int", value: 1 },
				alpha: float(1),
			}),
		);
	else path.push(made("MatMul", "low", [x, a]));
	path.push(made("Mul", "scaled", [named("low"), factor]));
	path.push(
		made(
			slides ? "Conv" : "MatMul",
			"delta",
			[named("scaled"), b],
			site.groups > 1 ? { group: { kind: "int", value: site.groups } } : {},
		),
	);
	return [
		base,
		...path,
		{
			op: "Add",
			domain: "",
			name: node.name,
			inputs: [`${out}.base`, named("delta")],
			outputs: node.outputs,
			attrs: {},
		},
	];
}

const plain = (name: string) => ({
	module: name,
	weight: name,
	kind: "matmul" as const,
});

/**
 * Trained pairs under PEFT's names and in its shapes.
 * @param adapted the sites of an injected graph; names alone mean MatMul weights that are their own module
 */
export function toPeft(
	parameters: ReadonlyMap<string, Tensor>,
	adapted: readonly (string | AdaptedSite)[],
): Map<string, Tensor> {
	const out = new Map<string, Tensor>();
	eachHalf(adapted, (site, half, name) => {
		const t = parameters.get(name);
		if (!t)
			throw new WattvoxError(
				"E_BUG",
				`the adapter of ${site.module} was not trained`,
			);
		out.set(peftKey(site, half), relaid(site, half, castFloat(t, "float32")));
	});
	return out;
}

/** PEFT tensors as the initialisers of an injected graph. */
export function fromPeft(
	adapter: ReadonlyMap<string, Tensor>,
	adapted: readonly (string | AdaptedSite)[],
): Map<string, Tensor> {
	const out = new Map<string, Tensor>();
	eachHalf(adapted, (site, half, name) => {
		const t = adapter.get(peftKey(site, half));
		if (t) out.set(name, relaid(site, half, castFloat(t, "float32")));
	});
	return out;
}

function eachHalf(
	adapted: readonly (string | AdaptedSite)[],
	body: (
		site: Pick<Site, "module" | "weight" | "kind">,
		half: "A" | "B",
		name: string,
	) => void,
): void {
	const whole = adapted.filter((s) => typeof s !== "string");
	for (const entry of adapted) {
		const [a, b] =
			typeof entry === "string"
				? [pairName(entry, "A"), pairName(entry, "B")]
				: halves(entry, whole);
		const site = typeof entry === "string" ? plain(entry) : entry;
		body(site, "A", a);
		body(site, "B", b);
	}
}
