import type { Tensor } from "@wattvox/onnx";
import type { Differentiated } from "../autodiff/index.ts";
import { type ForwardMap, mapForward, remade } from "./recompute.ts";
import { bytesOfType, concreteTypes } from "./sizes.ts";

/** Where to cut a forward half, and what that is expected to need. Estimates, not measurements. */
export interface RecomputePlan {
	/** Indices of forward nodes, see `recompute`; empty: nothing is computed again. */
	cuts: number[];
	/** Bytes of activations that are alive at once at the worst, with these cuts and without any. */
	activations: number;
	plain: number;
	/** Bytes that do not depend on the cuts: weights, optimiser state, gradients, feeds, the session. */
	fixed: number;
	/** False when no number of cuts is expected to stay below the target. */
	reached: boolean;
	/** Values whose size nobody knows; they count as nothing. */
	unknown: number;
}

/** What decides a plan. */
export interface PlanOptions {
	/** Bytes that training may take. Without it and without `segments`: the fewest activations. */
	memory?: number;
	/** So many segments, whatever they need. */
	segments?: number;
	/** A batch: its sizes stand for all. */
	feeds: Readonly<Record<string, Tensor>>;
	/** Names of inputs that are parameters. */
	parameters: ReadonlySet<string>;
}

const MOST_SEGMENTS = 48;

/** Chooses the fewest segments that are expected to fit the memory, cut where little lies across. */
export function planRecompute(
	d: Differentiated,
	o: PlanOptions,
): { plan: RecomputePlan; map: ForwardMap } {
	const map = mapForward(d, o.parameters);
	const { graph } = d.builder;
	const types = concreteTypes(
		{ ...graph, nodes: [...map.nodes], outputs: [] },
		o.feeds,
	);
	let unknown = 0;
	const bytes = new Map<string, number>();
	for (const name of map.maker.keys()) {
		const size = bytesOfType(types.get(name));
		if (size === undefined) unknown++;
		bytes.set(name, size ?? 0);
	}
	const across = crossing(map, bytes);
	const cost = (cuts: readonly number[]) => activations(map, cuts, bytes);
	const plain = cost([]);
	const fixed = fixedBytes(d, o);
	const plan = (cuts: number[]): RecomputePlan => {
		const need = cost(cuts);
		const reached = o.memory === undefined || fixed + need <= o.memory;
		return { cuts, activations: need, plain, fixed, reached, unknown };
	};
	if (o.segments !== undefined)
		return { plan: plan(cutsFor(map, bytes, across, o.segments)), map };
	let best = plan([]);
	for (let k = 2; k <= MOST_SEGMENTS; k++) {
		if (o.memory !== undefined && best.reached) break;
		const next = plan(cutsFor(map, bytes, across, k));
		if (next.activations < best.activations) best = next;
	}
	return { plan: best, map };
}

/** What the worker, ONNX Runtime's session and its workspace take besides, about. */
const RUNTIME = 64 * 2 ** 20;

function fixedBytes(d: Differentiated, o: PlanOptions): number {
	let total = RUNTIME;
	// The caller's and the worker's.
	for (const t of d.builder.graph.initializers.values())
		total += 2 * t.data.byteLength;
	for (const t of Object.values(o.feeds)) total += t.data.byteLength;
	for (const { name, shape } of d.builder.graph.inputs)
		if (o.parameters.has(name))
			// The weight here and in the worker, two moments, the gradient.
			total += 5 * (bytesOfType({ dtype: "float32", shape }) ?? 0);
	return total;
}

/** Bytes that lie across a cut in front of each node. */
function crossing(
	f: ForwardMap,
	bytes: ReadonlyMap<string, number>,
): Float64Array {
	const change = new Float64Array(f.nodes.length + 1);
	for (const [name, maker] of f.maker) {
		const last = f.lastRead.get(name) ?? maker;
		if (last <= maker) continue;
		const size = bytes.get(name) ?? 0;
		change[maker + 1] = (change[maker + 1] ?? 0) + size;
		if (last + 1 < change.length)
			change[last + 1] = (change[last + 1] ?? 0) - size;
	}
	let sum = 0;
	return change.map((c) => {
		sum += c;
		return sum;
	});
}

/**
 * Cuts into `k` segments that hold like shares of what the backward half reads, each moved to where the
 * least lies across within half a segment.
 */
function cutsFor(
	f: ForwardMap,
	bytes: ReadonlyMap<string, number>,
	across: Float64Array,
	k: number,
): number[] {
	const upTo = new Float64Array(f.nodes.length + 1);
	for (const name of f.firstUse.keys()) {
		const at = (f.maker.get(name) ?? 0) + 1;
		upTo[at] = (upTo[at] ?? 0) + (bytes.get(name) ?? 0);
	}
	for (let i = 1; i < upTo.length; i++)
		upTo[i] = (upTo[i] ?? 0) + (upTo[i - 1] ?? 0);
	const total = upTo.at(-1) ?? 0;
	const cuts: number[] = [];
	for (let j = 1; j < k; j++) {
		const [low, high] = [((j - 0.5) * total) / k, ((j + 0.5) * total) / k];
		let best: number | undefined;
		for (let i = (cuts.at(-1) ?? 0) + 1; i < f.nodes.length; i++) {
			const here = upTo[i] ?? 0;
			if (here < low) continue;
			if (here > high) break;
			if (best === undefined || (across[i] ?? 0) < (across[best] ?? 0))
				best = i;
		}
		if (best !== undefined) cuts.push(best);
	}
	return cuts;
}

/** Bytes that the backward half keeps alive: what crosses cuts, and the largest segment's own. */
function activations(
	f: ForwardMap,
	cuts: readonly number[],
	bytes: ReadonlyMap<string, number>,
): number {
	const segments = remade(f, cuts);
	const made = new Set(segments.flat());
	let kept = 0;
	let last = 0;
	const end = cuts.at(-1) ?? 0;
	const counted = new Set(f.firstUse.keys());
	// A value that crosses a cut is read by the next segment's second pass even if no gradient reads it.
	for (const [name, maker] of f.maker)
		if (cuts.some((c) => maker < c && (f.lastRead.get(name) ?? 0) >= c))
			counted.add(name);
	for (const name of counted) {
		if (made.has(name)) continue;
		const size = bytes.get(name) ?? 0;
		if ((f.maker.get(name) ?? 0) >= end && cuts.length) last += size;
		else kept += size;
	}
	const own = segments.map((names) =>
		names.reduce((sum, n) => sum + (bytes.get(n) ?? 0), 0),
	);
	return kept + Math.max(last, ...own, 0);
}
