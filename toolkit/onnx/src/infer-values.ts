import { addDim, floorDivDim, isFresh, mulDims, subDims } from "./dims.ts";
import { axisOf, type InferContext } from "./infer-context.ts";
import {
	type Dim,
	dtypeOf,
	intAttr,
	intsAttr,
	type Tensor,
	type ValueType,
} from "./types.ts";

/** The elements of a small integer value, in order: numbers, sizes by their symbols, or unknown. */
export type Ints = (Dim | undefined)[];

/** More elements than a shape, an index or a list of pads has are not followed. */
const MOST = 64;

/** The integers that a constant holds; undefined for other types, for tables and for long lists. */
export function intsOfTensor({ dtype, dims, data }: Tensor): Ints | undefined {
	if (!/^(int|bool)/.test(dtype) || dims.length > 1 || data.length > MOST)
		return undefined;
	return Array.from(data as ArrayLike<number | bigint>, Number);
}

/** Whether a value may be followed: integers (or a mask of them) with at most one axis. */
const followed = (t: ValueType | undefined): boolean =>
	!!t?.shape && /^(int(32|64)|bool)$/.test(t.dtype) && t.shape.length <= 1;

/** As many unknown elements as a short list has. */
function unknownOf(t: ValueType | undefined): Ints | undefined {
	const n = t?.shape?.length ? t.shape[0] : 1;
	return followed(t) && typeof n === "number" && n <= MOST
		? new Array(n).fill(undefined)
		: undefined;
}

type Evaluate = (c: InferContext, x: Ints) => Ints | undefined;
const ints = (c: InferContext, i: number): Ints | undefined => c.types[i]?.ints;
const numbers = (list: Ints | undefined): number[] | undefined =>
	list?.every((d) => typeof d === "number") ? (list as number[]) : undefined;

/** Pairs elements by numpy's rule, for lists of one length or of one element. */
const paired =
	(f: (a: Dim, b: Dim) => Dim | undefined): Evaluate =>
	(c, a) => {
		const b = ints(c, 1);
		if (!b) return undefined;
		const size = Math.max(a.length, b.length);
		if (![a, b].every((l) => l.length === size || l.length === 1))
			return undefined;
		return Array.from({ length: size }, (_, i) => {
			const [p, q] = [a[a.length === 1 ? 0 : i], b[b.length === 1 ? 0 : i]];
			return p === undefined || q === undefined ? undefined : f(p, q);
		});
	};
const arithmetic = (f: (a: number, b: number) => number) =>
	paired((a, b) =>
		typeof a === "number" && typeof b === "number" ? f(a, b) : undefined,
	);

const keep: Evaluate = (_c, x) => x;

/** A slice of a list, by numpy's rules. */
function sliced(c: InferContext, x: Ints): Ints | undefined {
	const [start, end, step = 1] = [1, 2, 4].map((i) => numbers(ints(c, i))?.[0]);
	if (start === undefined || end === undefined) return undefined;
	if (c.node.inputs[4] && !numbers(ints(c, 4))) return undefined;
	const n = x.length;
	const clamp = (v: number, lo: number, hi: number) =>
		Math.min(Math.max(v < 0 ? v + n : v, lo), hi);
	const out: Ints = [];
	if (step > 0)
		for (let i = clamp(start, 0, n); i < clamp(end, 0, n); i += step)
			out.push(x[i]);
	else if (step < 0)
		for (let i = clamp(start, 0, n - 1); i > clamp(end, -1, n - 1); i += step)
			out.push(x[i]);
	return out;
}

/** What is known of x == y: a size is never negative, and equals itself. */
function equal(a: Dim, b: Dim): Dim | undefined {
	if (a === b) return 1;
	if (typeof a === "number" && typeof b === "number") return 0;
	const known = typeof a === "number" ? a : b;
	if (typeof known === "number" && known < 0) return 0;
	const apart = subDims(a, b);
	return apart === undefined ? undefined : Number(apart === 0);
}

const EVALUATE: Record<string, Evaluate> = {
	Identity: keep,
	Squeeze: keep,
	Unsqueeze: keep,
	Reshape: keep,
	Flatten: keep,
	Cast: (c, x) => {
		const to = dtypeOf(intAttr(c.node, "to", 0));
		if (to === "bool")
			return x.map((d) =>
				typeof d === "number" ? Number(d !== 0) : undefined,
			);
		return to === "int32" || to === "int64" ? x : undefined;
	},
	Gather: (c, x) =>
		numbers(ints(c, 1))?.map((i) => x[i < 0 ? i + x.length : i]),
	Slice: sliced,
	Concat: (c) => {
		const lists = c.types.map((t) => t?.ints ?? unknownOf(t));
		return lists.every((l) => l !== undefined) ? lists.flat() : undefined;
	},
	Add: paired((a, b) => {
		if (typeof b === "number") return addDim(a, b);
		return typeof a === "number" ? addDim(b, a) : undefined;
	}),
	Sub: paired((a, b) =>
		typeof b === "number" ? addDim(a, -b) : subDims(a, b),
	),
	Mul: paired((a, b) => mulDims([a, b])),
	Div: paired((a, b) => {
		if (typeof b !== "number" || b === 0) return undefined;
		// Integers are divided towards zero; a size is never below it.
		if (typeof a === "number") return Math.trunc(a / b);
		return b > 0 && !isFresh(a) ? floorDivDim(a, b) : undefined;
	}),
	Mod: arithmetic((a, b) => (b === 0 ? Number.NaN : ((a % b) + b) % b)),
	Max: arithmetic(Math.max),
	Min: arithmetic(Math.min),
	Neg: (_c, x) => x.map((d) => (typeof d === "number" ? -d : undefined)),
	Equal: paired(equal),
	Greater: arithmetic((a, b) => Number(a > b)),
	GreaterOrEqual: arithmetic((a, b) => Number(a >= b)),
	Less: arithmetic((a, b) => Number(a < b)),
	LessOrEqual: arithmetic((a, b) => Number(a <= b)),
	And: arithmetic((a, b) => a & b),
	Or: arithmetic((a, b) => a | b),
	Xor: arithmetic((a, b) => a ^ b),
	Not: (_c, x) =>
		x.map((d) => (typeof d === "number" ? Number(d === 0) : undefined)),
	Where: (c, cond) => {
		const [a, b] = [ints(c, 1), ints(c, 2)];
		if (!a || !b) return undefined;
		const size = Math.max(cond.length, a.length, b.length);
		const at = (l: Ints, i: number) => l[l.length === 1 ? 0 : i];
		return Array.from({ length: size }, (_, i) => {
			const which = at(cond, i);
			if (which === undefined) return undefined;
			return which === 0 ? at(b, i) : at(a, i);
		});
	},
	ConstantOfShape: (c, x) => {
		const [n] = x;
		const value = c.node.attrs.value;
		if (typeof n !== "number" || n > MOST || value?.kind !== "tensor")
			return undefined;
		return new Array(n).fill(Number(value.value.data[0]));
	},
	Range: (c) => {
		const [start, limit, step] = [0, 1, 2].map((i) => numbers(ints(c, i))?.[0]);
		if (start === undefined || limit === undefined || !step) return undefined;
		const n = Math.max(0, Math.ceil((limit - start) / step));
		return n > MOST
			? undefined
			: Array.from({ length: n }, (_, i) => start + i * step);
	},
	ReduceProd: (_c, x) => {
		const known = x.filter((d) => d !== undefined);
		const all = known.length === x.length ? mulDims(known) : undefined;
		return all === undefined ? undefined : [all];
	},
};

/**
 * What the outputs of a node hold, where they are integers of at most one axis that follow from sizes
 * and constants: the chains of Shape, Gather, Unsqueeze and Concat in front of a Reshape.
 */
export function valuesOf(
	c: InferContext,
	outputs: readonly (ValueType | undefined)[],
): (Ints | undefined)[] {
	const { node } = c;
	if (node.domain || !followed(outputs[0])) return [];
	const shape = c.types[0]?.shape;
	if (node.op === "Shape" && shape) {
		const rank = shape.length;
		const clamp = (v: number) => Math.min(Math.max(axisOf(v, rank), 0), rank);
		return [
			shape.slice(
				clamp(intAttr(node, "start", 0)),
				clamp(intAttr(node, "end", rank)),
			),
		];
	}
	if (node.op === "Size" && shape) {
		const all = mulDims(shape);
		return all === undefined ? [] : [[all]];
	}
	const x = c.types[0]?.ints ?? unknownOf(c.types[0]);
	if (!x || (c.types[0]?.shape?.length ?? 2) > 1) return [];
	if (node.op === "Split") {
		const sizes =
			numbers(ints(c, 1)) ??
			intsAttr(node, "split") ??
			outputs.map((o) => o?.shape?.[0] as number);
		let from = 0;
		return sizes.map((n) => {
			const part = x.slice(from, from + n);
			from += n;
			return part;
		});
	}
	const found = Object.hasOwn(EVALUATE, node.op)
		? EVALUATE[node.op]?.(c, x)
		: undefined;
	// The list must be as long as the shape says, or both are not what they seem.
	const [size] = outputs[0]?.shape ?? [];
	const fits = size === undefined ? 1 : size;
	return found && (typeof fits !== "number" || fits === found.length)
		? [found]
		: [];
}
