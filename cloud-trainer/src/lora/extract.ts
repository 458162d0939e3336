import { WattvoxError } from "@wattvox/core";
import {
	castFloat,
	floats,
	type Graph,
	hoistConstants,
	sizeOf,
	type Tensor,
} from "@wattvox/onnx";
import { checkRank } from "./inject.ts";
import { pairShapes, peftKey, placeOf } from "./pair.ts";
import type { PeftConfig } from "./peft.ts";
import { findSites, type Site, type SiteKind } from "./sites.ts";
import { truncatedSvd } from "./svd.ts";
import { escapeRegExp, isTarget, type Pattern, someOf } from "./targets.ts";

/** Settings of an extraction. */
export interface ExtractOptions {
	rank: number;
	/** Which weights, by module path or initialiser name; all that changed and PEFT has pairs for by default. */
	targets?: Pattern | readonly Pattern[];
	modules?: Readonly<Record<string, string>>;
}

/** How well one module's change is held. */
export interface ExtractedModule {
	module: string;
	kind: SiteKind;
	/** ||change||, Frobenius. */
	norm: number;
	/** ||change - B A|| / ||change||. */
	error: number;
}

/** An adapter taken from two models. */
export interface Extracted {
	/** PEFT tensors; alpha is the rank, so B A stands as it is. */
	tensors: Map<string, Tensor>;
	/** Rank and alpha, with patterns for weights too small for the rank. */
	config: PeftConfig;
	modules: ExtractedModule[];
	/** ||all changes - all B A|| / ||all changes||, over the modules. */
	error: number;
	/** Float tensors that changed and that no pair can hold (biases, gains, grouped kernels), and their share of the whole change's norm. */
	left: { names: string[]; share: number };
}

/**
 * A low-rank adapter that turns one model into another: of each weight's change the leading singular
 * vectors, which no other pair of that rank comes closer with (Eckart and Young).
 * @throws WattvoxError E_MODEL when the models' weights differ in shape, or when none differs
 */
export function extractLora(
	baseGraph: Graph,
	tunedGraph: Graph,
	o: ExtractOptions,
): Extracted {
	checkRank(o.rank);
	const base = hoistConstants(baseGraph);
	const tuned = hoistConstants(tunedGraph);
	// A grouped kernel's change is one of its groups' only, which no pair over all channels holds best.
	const sites = findSites(base, o.modules).filter((s) => s.groups === 1);
	const others = new Map(
		findSites(tuned, o.modules).map((s) => [s.module, s] as const),
	);
	const held = new Set<string>();
	const tensors = new Map<string, Tensor>();
	const modules: ExtractedModule[] = [];
	const small: Record<string, number> = {};
	let [whole, missed] = [0, 0];
	for (const site of sites) {
		if (held.has(site.weight)) continue;
		if (!isTarget(site, o.targets ?? "*")) continue;
		const before = base.initializers.get(site.weight) as Tensor;
		const name = tuned.initializers.has(site.weight)
			? site.weight
			: others.get(site.module)?.weight;
		const after = name === undefined ? undefined : tuned.initializers.get(name);
		if (!after)
			throw new WattvoxError(
				"E_MODEL",
				`the tuned model has no ${site.weight}`,
			);
		const change = difference(site.weight, before, after);
		held.add(site.weight);
		const size = squares(change);
		if (size === 0) continue;
		const { a, b, rank, error } = factor(site, change, o.rank);
		if (rank < o.rank) small[escapeRegExp(site.module)] = rank;
		tensors.set(peftKey(site, "A"), a);
		tensors.set(peftKey(site, "B"), b);
		modules.push({
			module: site.module,
			kind: site.kind,
			norm: Math.sqrt(size),
			error: Math.sqrt(error / size),
		});
		whole += size;
		missed += error;
	}
	if (modules.length === 0)
		throw new WattvoxError(
			"E_MODEL",
			`no weight that a pair can hold differs between the models; they have: ${someOf(sites.map((s) => s.module))}`,
		);
	return {
		tensors,
		modules,
		config: {
			rank: o.rank,
			alpha: o.rank,
			rankPattern: small,
			alphaPattern: small,
			fanInFanOut: false,
		},
		error: Math.sqrt(missed / whole),
		left: leftOver(base, tuned, held, whole),
	};
}

const squares = (x: Float64Array): number => x.reduce((s, v) => s + v * v, 0);

function difference(name: string, a: Tensor, b: Tensor): Float64Array {
	if (a.dims.join() !== b.dims.join())
		throw new WattvoxError(
			"E_MODEL",
			`${name} is [${a.dims}] in the base and [${b.dims}] in the tuned model`,
		);
	const [x, y] = [a, b].map((t) => castFloat(t, "float32").data) as [
		Float32Array,
		Float32Array,
	];
	return Float64Array.from(y, (v, i) => v - (x[i] ?? 0));
}

/** A and B in PEFT's shapes, and the square of what they miss. */
function factor(
	site: Site,
	change: Float64Array,
	wanted: number,
): { a: Tensor; b: Tensor; rank: number; error: number } {
	const kernel = sizeOf(site.kernel);
	const ins = site.in * kernel;
	const { out } = site;
	const rank = Math.min(wanted, ins, out);
	const stored = site.kind === "conv" || site.transposed;
	// As [out, ins], which is B A in PEFT's layout.
	const m = stored ? change : new Float64Array(change.length);
	if (!stored)
		for (let i = 0; i < ins; i++)
			for (let j = 0; j < out; j++)
				m[j * ins + i] = change[placeOf(i, j, out, kernel)] ?? 0;
	const { u, s, vt } = truncatedSvd(m, out, ins, rank);
	const a = new Float32Array(rank * ins);
	const b = new Float32Array(out * rank);
	for (let k = 0; k < rank; k++) {
		const root = Math.sqrt(s[k] ?? 0);
		for (let i = 0; i < ins; i++)
			a[k * ins + i] = root * (vt[k * ins + i] ?? 0);
		for (let j = 0; j < out; j++)
			b[j * rank + k] = root * (u[j * rank + k] ?? 0);
	}
	let error = 0;
	for (let j = 0; j < out; j++)
		for (let i = 0; i < ins; i++) {
			let sum = m[j * ins + i] ?? 0;
			for (let k = 0; k < rank; k++)
				sum -= (b[j * rank + k] ?? 0) * (a[k * ins + i] ?? 0);
			error += sum * sum;
		}
	const { peftA, peftB } = pairShapes(site, rank);
	return { a: floats(a, peftA), b: floats(b, peftB), rank, error };
}

function leftOver(
	base: Graph,
	tuned: Graph,
	held: ReadonlySet<string>,
	heldSquares: number,
): Extracted["left"] {
	const names: string[] = [];
	let left = 0;
	for (const [name, before] of base.initializers) {
		const after = tuned.initializers.get(name);
		if (held.has(name) || !after || !/float/.test(before.dtype)) continue;
		const size = squares(difference(name, before, after));
		if (size === 0) continue;
		names.push(name);
		left += size;
	}
	return { names, share: Math.sqrt(left / (left + heldSquares)) };
}
