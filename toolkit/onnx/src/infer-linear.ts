import { WattvoxError } from "@wattvox/core";
import { broadcastShapes, freshDim } from "./dims.ts";
import {
	axisOf,
	constInts,
	type Rule,
	shape0,
	type0,
} from "./infer-context.ts";
import { type Dim, intAttr, type ValueType } from "./types.ts";

const reduce: Rule = (c) => {
	const { dtype } = type0(c);
	const shape = shape0(c);
	const given = constInts(c, 1, "axes");
	const keep = intAttr(c.node, "keepdims", 1) === 1;
	const dynamic = !given && c.node.inputs[1];
	const noop = intAttr(c.node, "noop_with_empty_axes", 0) === 1;
	if (!shape) {
		const all = !keep && !noop && !dynamic && !given?.length;
		return [{ dtype, shape: all ? [] : undefined }];
	}
	if (dynamic) {
		// How many axes there are tells how many stay, none meaning all of them or none.
		const count = c.types[1]?.shape?.[0];
		const fold = count === 0 && !noop ? shape.length : count;
		const rest = typeof fold === "number" ? shape.length - fold : undefined;
		const rank = keep ? shape.length : rest;
		return [
			{
				dtype,
				shape:
					rank === undefined
						? undefined
						: Array.from({ length: rank }, freshDim),
			},
		];
	}
	const axes = new Set(
		given?.length
			? given.map((a) => axisOf(a, shape.length))
			: noop
				? []
				: shape.keys(),
	);
	return [
		{
			dtype,
			shape: keep
				? shape.map((d, i) => (axes.has(i) ? 1 : d))
				: shape.filter((_, i) => !axes.has(i)),
		},
	];
};

/** @throws WattvoxError E_MODEL when two sizes that meet in a product are known and differ */
export function fit(a: Dim | undefined, b: Dim | undefined): void {
	if (typeof a === "number" && typeof b === "number" && a !== b)
		throw new WattvoxError("E_MODEL", `sizes ${a} and ${b} meet in a product`);
}

function matmulShape(
	a: readonly Dim[] | undefined,
	b: readonly Dim[] | undefined,
): Dim[] | undefined {
	if (!a || !b || a.length === 0 || b.length === 0) return undefined;
	const left = a.length === 1 ? [1, ...a] : [...a];
	const right = b.length === 1 ? [...b, 1] : [...b];
	fit(left.at(-1), right.at(-2));
	const batch = broadcastShapes(left.slice(0, -2), right.slice(0, -2)) ?? [];
	const out = [...batch];
	if (a.length > 1) out.push(left[left.length - 2] as Dim);
	if (b.length > 1) out.push(right[right.length - 1] as Dim);
	return out;
}

const swapLast = (shape: readonly Dim[] | undefined): Dim[] | undefined =>
	shape && ([...shape.slice(0, -2), shape.at(-1), shape.at(-2)] as Dim[]);

const layerNorm: Rule = (c) => {
	const { dtype } = type0(c);
	const input = shape0(c);
	const axis = input && axisOf(intAttr(c.node, "axis", -1), input.length);
	const stat: ValueType = {
		dtype: "float32",
		shape: input?.map((d, i) => (i >= (axis ?? 0) ? 1 : d)),
	};
	return [{ dtype, shape: input }, stat, stat];
};

const matmul: Rule = (c) => [
	{ dtype: type0(c).dtype, shape: matmulShape(shape0(c), c.types[1]?.shape) },
];

const fusedMatmul: Rule = (c) => {
	const flip = (name: string, s: readonly Dim[] | undefined) =>
		intAttr(c.node, name, 0) ? swapLast(s) : s;
	return [
		{
			dtype: type0(c).dtype,
			shape: matmulShape(
				flip("transA", shape0(c)),
				flip("transB", c.types[1]?.shape),
			),
		},
	];
};

const gemm: Rule = (c) => {
	const [a, b] = [shape0(c), c.types[1]?.shape];
	const ta = intAttr(c.node, "transA", 0) ? 1 : 0;
	const tb = intAttr(c.node, "transB", 0) ? 1 : 0;
	fit(a?.[1 - ta], b?.[tb]);
	const m = a?.[ta];
	const n = b?.[1 - tb];
	return [
		{
			dtype: type0(c).dtype,
			shape: m !== undefined && n !== undefined ? [m, n] : undefined,
		},
	];
};

/** Reductions, products of matrices and layer normalisation. */
export const linearRules: Record<string, Rule> = {
	MatMul: matmul,
	"com.microsoft.FusedMatMul": fusedMatmul,
	Gemm: gemm,
	LayerNormalization: layerNorm,
};
for (const op of "ReduceSum ReduceMean ReduceMax ReduceMin ReduceProd ReduceL1 ReduceL2 ReduceSumSquare ReduceLogSum ReduceLogSumExp".split(
	" ",
))
	linearRules[op] = reduce;
