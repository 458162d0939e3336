import { WattvoxError } from "@wattvox/core";
import { broadcastDim, freshDim, mulDims } from "./dims.ts";
import { einsumLabels } from "./einsum.ts";
import {
	axisOf,
	dimsGiven,
	type Rule,
	shape0,
	type0,
} from "./infer-context.ts";
import { type Dim, intAttr, stringAttr } from "./types.ts";

const einsum: Rule = (c) => {
	const { dtype } = type0(c);
	const shapes = c.types.map((t) => t?.shape);
	if (!shapes.every((s) => s !== undefined))
		return [{ dtype, shape: undefined }];
	const { inputs, output } = einsumLabels(
		stringAttr(c.node, "equation", ""),
		shapes.map((s) => s.length),
	);
	const sizes = new Map<string, Dim>();
	inputs.forEach((labels, k) => {
		labels.forEach((label, i) => {
			const d = shapes[k]?.[i] as Dim;
			const known = sizes.get(label);
			sizes.set(label, known === undefined ? d : broadcastDim(known, d));
		});
	});
	return [{ dtype, shape: output.map((l) => sizes.get(l) as Dim) }];
};

const topK: Rule = (c) => {
	const { dtype } = type0(c);
	const input = shape0(c);
	const axis = axisOf(intAttr(c.node, "axis", -1), input?.length ?? 0);
	const k = dimsGiven(c, 1, "k")?.[0] ?? freshDim();
	const shape = input?.map((d, i) => (i === axis ? k : d));
	return [
		{ dtype, shape },
		{ dtype: "int64", shape },
	];
};

const gatherNd: Rule = (c) => {
	const { dtype } = type0(c);
	const [data, indices] = [shape0(c), c.types[1]?.shape];
	const depth = indices?.at(-1);
	if (!data || !indices || typeof depth !== "number")
		return [{ dtype, shape: undefined }];
	const batch = intAttr(c.node, "batch_dims", 0);
	if (batch + depth > data.length)
		throw new WattvoxError(
			"E_MODEL",
			`indices of ${depth} numbers reach beyond [${data}]`,
		);
	return [
		{ dtype, shape: [...indices.slice(0, -1), ...data.slice(batch + depth)] },
	];
};

const tile: Rule = (c) => {
	const repeats = dimsGiven(c, 1, "repeats");
	return [
		{
			dtype: type0(c).dtype,
			shape: shape0(c)?.map((d, i) => {
				const n = repeats?.[i];
				return (n === undefined ? undefined : mulDims([d, n])) ?? freshDim();
			}),
		},
	];
};

/** Losses: reduced to a scalar, or one for each label; the second output has the scores' shape. */
const loss: Rule = (c) => {
	const { dtype } = type0(c);
	const each = stringAttr(c.node, "reduction", "mean") === "none";
	return [
		{ dtype, shape: each ? c.types[1]?.shape : [] },
		{ dtype, shape: shape0(c) },
	];
};

/** Operators that choose elements by index or by label, and the losses that do. */
export const indexingRules: Record<string, Rule> = {
	Einsum: einsum,
	TopK: topK,
	GatherElements: (c) => [{ dtype: type0(c).dtype, shape: c.types[1]?.shape }],
	GatherND: gatherNd,
	Tile: tile,
	SoftmaxCrossEntropyLoss: loss,
	NegativeLogLikelihoodLoss: loss,
};
