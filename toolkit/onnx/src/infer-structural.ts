import { WattvoxError } from "@wattvox/core";
import {
	addDim,
	broadcastShapes,
	freshDim,
	mulDims,
	product,
	subDims,
} from "./dims.ts";
import {
	axisOf,
	constInts,
	dimsGiven,
	type InferContext,
	type Rule,
	shape0,
	type0,
} from "./infer-context.ts";
import { type Dim, intAttr, intsAttr } from "./types.ts";

/** Sizes that only the run tells, as many as input `i` lists. */
function unknownOf(c: InferContext, i: number): Dim[] | undefined {
	const rank = c.types[i]?.shape?.[0];
	return typeof rank === "number"
		? Array.from({ length: rank }, freshDim)
		: undefined;
}

const reshape: Rule = (c) => {
	const { dtype } = type0(c);
	const input = shape0(c);
	const target = dimsGiven(c, 1, "shape");
	if (!target) return [{ dtype, shape: unknownOf(c, 1) }];
	// Zero copies the input's size, unless allowzero makes it a size.
	const copies = intAttr(c.node, "allowzero", 0) === 0;
	const shape: Dim[] = target.map((d, i) =>
		d === 0 && copies ? (input?.[i] ?? freshDim()) : (d ?? freshDim()),
	);
	const hole = target.indexOf(-1);
	if (hole >= 0) {
		shape[hole] = freshDim();
		if (input) {
			// Sizes that stand on both sides cancel; what is left must be numbers, or one lone symbol.
			const left = [...input];
			const right = shape.filter((_, i) => i !== hole);
			for (let i = right.length - 1; i >= 0; i--) {
				const j = left.indexOf(right[i] as Dim);
				if (j >= 0) {
					left.splice(j, 1);
					right.splice(i, 1);
				}
			}
			const symbols = left.filter((d) => typeof d === "string");
			const numbers = product(left.filter((d) => typeof d === "number"));
			const rest = product(right);
			if (symbols.length === 0 && rest && numbers !== undefined) {
				if (numbers % rest)
					throw new WattvoxError(
						"E_MODEL",
						`[${input}] does not reshape to [${target}]`,
					);
				shape[hole] = numbers / rest;
			} else if (rest !== undefined && numbers && numbers % rest === 0)
				shape[hole] = mulDims([numbers / rest, ...symbols]) ?? freshDim();
		}
	} else if (input) {
		const [from, to] = [product(input), product(shape)];
		if (from !== undefined && to !== undefined && from !== to)
			throw new WattvoxError(
				"E_MODEL",
				`[${input}] does not reshape to [${target}]`,
			);
	}
	return [{ dtype, shape }];
};

const slice: Rule = (c) => {
	const { dtype } = type0(c);
	const input = shape0(c);
	if (!input) return [{ dtype, shape: undefined }];
	const starts = dimsGiven(c, 1, "starts");
	const ends = dimsGiven(c, 2, "ends");
	const axes =
		constInts(c, 3, "axes") ??
		(c.node.inputs[3] ? undefined : starts?.map((_, i) => i));
	const steps = constInts(c, 4, "steps");
	const shape = [...input];
	if (!axes) return [{ dtype, shape: shape.map(() => freshDim()) }];
	axes.forEach((raw, i) => {
		const axis = axisOf(raw, input.length);
		const d = input[axis] as Dim;
		const [start, end] = [starts?.[i], ends?.[i]];
		const step = steps?.[i] ?? 1;
		if (c.node.inputs[4] && !steps) shape[axis] = freshDim();
		else if (typeof start !== "number" || typeof end !== "number") {
			// From the front, or from a size on, to the size itself.
			const cut = start === undefined ? undefined : subDims(d, start);
			const whole =
				end === d || (typeof end === "number" && end >= 2 ** 31 - 1);
			if (step !== 1 || !whole) shape[axis] = freshDim();
			else if (typeof start === "number" && start >= 0)
				shape[axis] = addDim(d, -start);
			else shape[axis] = cut !== undefined && cut >= 0 ? cut : freshDim();
		} else if (typeof d === "number") {
			const clamp = (v: number, lo: number, hi: number) =>
				Math.min(Math.max(v < 0 ? v + d : v, lo), hi);
			shape[axis] =
				step > 0
					? Math.max(
							0,
							Math.ceil((clamp(end, 0, d) - clamp(start, 0, d)) / step),
						)
					: Math.max(
							0,
							Math.ceil(
								(clamp(start, 0, d - 1) - clamp(end, -1, d - 1)) / -step,
							),
						);
		} else if (step === 1 && start >= 0 && end < 0) {
			shape[axis] = addDim(d, end - start);
		} else if (step === 1 && start >= 0 && end >= 2 ** 31 - 1) {
			shape[axis] = addDim(d, -start);
		} else shape[axis] = freshDim();
	});
	return [{ dtype, shape }];
};

const pad: Rule = (c) => {
	const { dtype } = type0(c);
	const input = shape0(c);
	const pads = constInts(c, 1, "pads");
	if (!input) return [{ dtype, shape: undefined }];
	const axes =
		constInts(c, 3, "axes") ??
		(c.node.inputs[3] ? undefined : [...input.keys()]);
	if (!pads || !axes) return [{ dtype, shape: input.map(() => freshDim()) }];
	const shape = [...input];
	axes.forEach((raw, i) => {
		const axis = axisOf(raw, input.length);
		shape[axis] = addDim(
			input[axis] as Dim,
			(pads[i] ?? 0) + (pads[i + axes.length] ?? 0),
		);
	});
	return [{ dtype, shape }];
};

const concat: Rule = (c) => {
	const { dtype } = type0(c);
	const first = shape0(c);
	if (!first) return [{ dtype, shape: undefined }];
	const axis = axisOf(intAttr(c.node, "axis", 0), first.length);
	const shape = [...first];
	for (const t of c.types)
		t?.shape?.forEach((d, i) => {
			const known = shape[i];
			if (i === axis || d === known) return;
			if (typeof d === "number" && typeof known === "number")
				throw new WattvoxError(
					"E_MODEL",
					`sizes ${known} and ${d} stand side by side in a Concat`,
				);
			// A known size tells what a symbol must be.
			if (typeof d === "number") shape[i] = d;
		});
	let total: Dim | undefined = 0;
	for (const t of c.types) {
		const d: Dim | undefined = t?.shape?.[axis];
		if (typeof d === "number" && total !== undefined) total = addDim(total, d);
		else if (typeof d === "string" && typeof total === "number")
			total = addDim(d, total);
		else total = undefined;
	}
	shape[axis] = total ?? freshDim();
	return [{ dtype, shape }];
};

const split: Rule = (c) => {
	const { dtype } = type0(c);
	const input = shape0(c);
	const n = c.node.outputs.length;
	if (!input) return c.node.outputs.map(() => ({ dtype, shape: undefined }));
	const axis = axisOf(intAttr(c.node, "axis", 0), input.length);
	const sizes = dimsGiven(c, 1, "split");
	const computed = !sizes && c.node.inputs[1];
	const d = input[axis];
	// Parts of one unknown size, unless the last may be smaller.
	const open = freshDim();
	const alike = !computed && !c.node.attrs.num_outputs;
	return c.node.outputs.map((_, i) => {
		const shape = [...input];
		const even =
			typeof d === "number" && !computed
				? Math.max(0, Math.min(Math.ceil(d / n), d - i * Math.ceil(d / n)))
				: alike
					? open
					: freshDim();
		shape[axis] = sizes?.[i] ?? even;
		return { dtype, shape };
	});
};

const unsqueeze: Rule = (c) => {
	const { dtype } = type0(c);
	const input = shape0(c);
	const axes = constInts(c, 1, "axes");
	if (!input || !axes) return [{ dtype, shape: undefined }];
	const rank = input.length + axes.length;
	const at = new Set(axes.map((a) => axisOf(a, rank)));
	const rest = [...input];
	return [
		{
			dtype,
			shape: Array.from({ length: rank }, (_, i) =>
				at.has(i) ? 1 : (rest.shift() as Dim),
			),
		},
	];
};

const squeeze: Rule = (c) => {
	const { dtype } = type0(c);
	const input = shape0(c);
	const axes = constInts(c, 1, "axes");
	// Without axes every size of 1 goes: that needs all sizes known.
	const unclear =
		!axes && (c.node.inputs[1] || input?.some((d) => typeof d === "string"));
	if (!input || unclear) return [{ dtype, shape: undefined }];
	const at = new Set(
		axes?.map((a) => axisOf(a, input.length)) ??
			[...input.keys()].filter((i) => input[i] === 1),
	);
	return [{ dtype, shape: input.filter((_, i) => !at.has(i)) }];
};

const gather: Rule = (c) => {
	const { dtype } = type0(c);
	const [data, indices] = [shape0(c), c.types[1]?.shape];
	if (!data || !indices) return [{ dtype, shape: undefined }];
	const axis = axisOf(intAttr(c.node, "axis", 0), data.length);
	return [
		{
			dtype,
			shape: [...data.slice(0, axis), ...indices, ...data.slice(axis + 1)],
		},
	];
};

const expand: Rule = (c) => {
	const { dtype } = type0(c);
	const target = dimsGiven(c, 1, "shape")?.map((d) => d ?? freshDim());
	const shape = target ?? unknownOf(c, 1);
	return [{ dtype, shape: shape && broadcastShapes(shape0(c), shape) }];
};

const oneHot: Rule = (c) => {
	const indices = shape0(c);
	const depth = c.consts[1];
	const dtype = c.types[2]?.dtype ?? "float32";
	if (!indices) return [{ dtype, shape: undefined }];
	const axis = axisOf(intAttr(c.node, "axis", -1), indices.length + 1);
	const size: Dim = depth ? Number(depth.data[0]) : freshDim();
	return [
		{ dtype, shape: [...indices.slice(0, axis), size, ...indices.slice(axis)] },
	];
};

const flatten: Rule = (c) => {
	const { dtype } = type0(c);
	const input = shape0(c);
	if (!input) return [{ dtype, shape: [freshDim(), freshDim()] }];
	const axis = axisOf(intAttr(c.node, "axis", 1), input.length);
	const join = (part: Dim[]): Dim => {
		const symbols = part.filter((d) => typeof d === "string");
		const numbers = product(part.filter((d) => typeof d === "number"));
		if (symbols.length === 0) return numbers ?? freshDim();
		const only = symbols.length === 1 && numbers === 1;
		return only ? (symbols[0] as Dim) : freshDim();
	};
	return [
		{ dtype, shape: [join(input.slice(0, axis)), join(input.slice(axis))] },
	];
};

/** Operators that move, cut, join, repeat or choose elements. */
export const structuralRules: Record<string, Rule> = {
	Reshape: reshape,
	Flatten: flatten,
	Slice: slice,
	Pad: pad,
	Concat: concat,
	Split: split,
	Squeeze: squeeze,
	Unsqueeze: unsqueeze,
	Gather: gather,
	Expand: expand,
	OneHot: oneHot,
	Transpose: (c) => {
		const input = shape0(c);
		const perm =
			intsAttr(c.node, "perm") ?? (input ? [...input.keys()].reverse() : []);
		return [
			{
				dtype: type0(c).dtype,
				shape: input && perm.map((p) => input[p] as Dim),
			},
		];
	},
	ScatterElements: (c) => [type0(c)],
	ScatterND: (c) => [type0(c)],
};
