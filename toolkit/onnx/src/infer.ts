import { WattvoxError } from "@wattvox/core";
import { addDim, broadcastShapes, freshDim, product } from "./dims.ts";
import {
	type Dim,
	type DType,
	dtypeOf,
	type Graph,
	intAttr,
	intsAttr,
	type Node,
	type Tensor,
	type ValueType,
} from "./types.ts";

/** What an inference rule sees: the node, the types of its inputs, and those inputs that are constants. */
export interface InferContext {
	node: Node;
	types: (ValueType | undefined)[];
	consts: (Tensor | undefined)[];
	opset: number;
}

type Rule = (c: InferContext) => (ValueType | undefined)[];

const type0 = (c: InferContext): ValueType => c.types[0] as ValueType;
const shape0 = (c: InferContext): Dim[] | undefined => c.types[0]?.shape;
const axisOf = (axis: number, rank: number): number =>
	axis < 0 ? axis + rank : axis;

/** The elements of a constant integer input, or of the attribute that older opsets used instead. */
export function constInts(
	c: InferContext,
	index: number,
	attr: string,
): number[] | undefined {
	const tensor = c.consts[index];
	if (tensor)
		return Array.from(tensor.data as ArrayLike<number | bigint>, Number);
	return intsAttr(c.node, attr);
}

const same: Rule = (c) => [type0(c)];
const broadcast: Rule = (c) => [
	{
		dtype: type0(c).dtype,
		shape: broadcastShapes(...c.types.map((t) => t?.shape)),
	},
];
const compare: Rule = (c) => [
	{ dtype: "bool", shape: broadcastShapes(...c.types.map((t) => t?.shape)) },
];

const reduce: Rule = (c) => {
	const { dtype } = type0(c);
	const shape = shape0(c);
	if (!shape) return [{ dtype, shape: undefined }];
	const given = constInts(c, 1, "axes");
	const dynamic = !given && c.node.inputs[1];
	if (dynamic) return [{ dtype, shape: undefined }];
	const noop = intAttr(c.node, "noop_with_empty_axes", 0) === 1;
	const axes = new Set(
		given?.length
			? given.map((a) => axisOf(a, shape.length))
			: noop
				? []
				: shape.keys(),
	);
	const keep = intAttr(c.node, "keepdims", 1) === 1;
	return [
		{
			dtype,
			shape: keep
				? shape.map((d, i) => (axes.has(i) ? 1 : d))
				: shape.filter((_, i) => !axes.has(i)),
		},
	];
};

function matmulShape(
	a: readonly Dim[] | undefined,
	b: readonly Dim[] | undefined,
): Dim[] | undefined {
	if (!a || !b || a.length === 0 || b.length === 0) return undefined;
	const left = a.length === 1 ? [1, ...a] : [...a];
	const right = b.length === 1 ? [...b, 1] : [...b];
	const batch = broadcastShapes(left.slice(0, -2), right.slice(0, -2)) ?? [];
	const out = [...batch];
	if (a.length > 1) out.push(left[left.length - 2] as Dim);
	if (b.length > 1) out.push(right[right.length - 1] as Dim);
	return out;
}

const swapLast = (shape: readonly Dim[] | undefined): Dim[] | undefined =>
	shape && ([...shape.slice(0, -2), shape.at(-1), shape.at(-2)] as Dim[]);

const conv: Rule = (c) => {
	const { dtype } = type0(c);
	const [x, w] = [shape0(c), c.types[1]?.shape];
	if (!x || !w) return [{ dtype, shape: undefined }];
	const n = x.length - 2;
	const at = (name: string, i: number, fallback: number): number =>
		intsAttr(c.node, name)?.[i] ?? fallback;
	const auto = c.node.attrs.auto_pad;
	const spatial = Array.from({ length: n }, (_, i): Dim => {
		const k = w[i + 2];
		const d = x[i + 2] as Dim;
		if (
			typeof k !== "number" ||
			(auto?.kind === "string" && auto.value !== "NOTSET")
		)
			return freshDim();
		const stride = at("strides", i, 1);
		const reach = at("dilations", i, 1) * (k - 1) + 1;
		const pad = at("pads", i, 0) + at("pads", i + n, 0);
		if (stride === 1) return addDim(d, pad - reach + 1);
		return typeof d === "number"
			? Math.floor((d + pad - reach) / stride) + 1
			: freshDim();
	});
	return [{ dtype, shape: [x[0] as Dim, w[0] as Dim, ...spatial] }];
};

const reshape: Rule = (c) => {
	const { dtype } = type0(c);
	const input = shape0(c);
	const target = constInts(c, 1, "shape");
	if (!target) {
		const rank = c.types[1]?.shape?.[0];
		return [
			{
				dtype,
				shape:
					typeof rank === "number"
						? Array.from({ length: rank }, freshDim)
						: undefined,
			},
		];
	}
	const shape: Dim[] = target.map((d, i) =>
		d === 0 ? (input?.[i] ?? freshDim()) : d,
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
			if (symbols.length === 0 && rest && numbers !== undefined)
				shape[hole] = numbers / rest;
			else if (symbols.length === 1 && rest === numbers)
				shape[hole] = symbols[0] as Dim;
		}
	}
	return [{ dtype, shape }];
};

const slice: Rule = (c) => {
	const { dtype } = type0(c);
	const input = shape0(c);
	if (!input) return [{ dtype, shape: undefined }];
	const starts = constInts(c, 1, "starts");
	const ends = constInts(c, 2, "ends");
	const axes = constInts(c, 3, "axes") ?? starts?.map((_, i) => i);
	const steps = constInts(c, 4, "steps");
	const shape = [...input];
	if (!starts || !ends || !axes)
		return [{ dtype, shape: shape.map(() => freshDim()) }];
	axes.forEach((raw, i) => {
		const axis = axisOf(raw, input.length);
		const d = input[axis] as Dim;
		const [start, end, step] = [starts[i] ?? 0, ends[i] ?? 0, steps?.[i] ?? 1];
		if (typeof d === "number") {
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
	if (!pads) return [{ dtype, shape: input.map(() => freshDim()) }];
	const axes = constInts(c, 3, "axes") ?? [...input.keys()];
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
	const sizes = constInts(c, 1, "split");
	const d = input[axis];
	return c.node.outputs.map((_, i) => {
		const shape = [...input];
		const even =
			typeof d === "number"
				? Math.min(Math.ceil(d / n), d - i * Math.ceil(d / n))
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
	if (!input) return [{ dtype, shape: undefined }];
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
	const target = constInts(c, 1, "shape");
	const rank = c.types[1]?.shape?.[0];
	const shape = target
		? broadcastShapes(shape0(c), target)
		: typeof rank === "number"
			? Array.from({ length: rank }, freshDim)
			: undefined;
	return [{ dtype, shape }];
};

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

const gemm: Rule = (c) => {
	const [a, b] = [shape0(c), c.types[1]?.shape];
	const m = a?.[intAttr(c.node, "transA", 0) ? 1 : 0];
	const n = b?.[intAttr(c.node, "transB", 0) ? 0 : 1];
	return [
		{
			dtype: type0(c).dtype,
			shape: m !== undefined && n !== undefined ? [m, n] : undefined,
		},
	];
};

/** Shape and type rules by operator. `com.microsoft` operators carry their domain as a prefix. */
const RULES: Record<string, Rule> = {
	Where: (c) => [
		{
			dtype: c.types[1]?.dtype ?? "float32",
			shape: broadcastShapes(...c.types.map((t) => t?.shape)),
		},
	],
	MatMul: (c) => [
		{ dtype: type0(c).dtype, shape: matmulShape(shape0(c), c.types[1]?.shape) },
	],
	"com.microsoft.FusedMatMul": (c) => {
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
	},
	Gemm: gemm,
	Conv: conv,
	Reshape: reshape,
	Slice: slice,
	Pad: pad,
	Concat: concat,
	Split: split,
	Squeeze: squeeze,
	Unsqueeze: unsqueeze,
	Gather: gather,
	Expand: expand,
	OneHot: oneHot,
	LayerNormalization: layerNorm,
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
	Shape: (c) => [{ dtype: "int64", shape: [shape0(c)?.length ?? freshDim()] }],
	Cast: (c) => [
		{
			dtype: dtypeOf(intAttr(c.node, "to", 1)) ?? ("float32" as DType),
			shape: shape0(c),
		},
	],
	Constant: (c) => {
		const value = c.node.attrs.value;
		if (value?.kind === "tensor")
			return [{ dtype: value.value.dtype, shape: value.value.dims }];
		const float = c.node.attrs.value_float ?? c.node.attrs.value_floats;
		const list = c.node.attrs.value_floats ?? c.node.attrs.value_ints;
		return [
			{
				dtype: float ? "float32" : "int64",
				shape: Array.isArray(list?.value) ? [list.value.length] : [],
			},
		];
	},
	ConstantOfShape: (c) => {
		const dims = constInts(c, 0, "shape");
		const rank = c.types[0]?.shape?.[0];
		const value = c.node.attrs.value;
		return [
			{
				dtype: value?.kind === "tensor" ? value.value.dtype : "float32",
				shape:
					dims ??
					(typeof rank === "number"
						? Array.from({ length: rank }, freshDim)
						: undefined),
			},
		];
	},
	Size: () => [{ dtype: "int64", shape: [] }],
	IsNaN: (c) => [{ dtype: "bool", shape: shape0(c) }],
	ScatterElements: same,
	ScatterND: same,
};
for (const op of "Identity Neg Abs Sign Exp Log Sqrt Reciprocal Erf Tanh Sigmoid Softplus Relu LeakyRelu Elu Gelu Sin Cos Floor Ceil Round Not Clip Softmax LogSoftmax CumSum Trilu Dropout".split(
	" ",
))
	RULES[op] = same;
for (const op of "Add Sub Mul Div Pow Max Min Mean Sum And Or Xor Mod".split(
	" ",
))
	RULES[op] = broadcast;
for (const op of "Equal Greater GreaterOrEqual Less LessOrEqual".split(" "))
	RULES[op] = compare;
for (const op of "ReduceSum ReduceMean ReduceMax ReduceMin ReduceProd ReduceL1 ReduceL2 ReduceSumSquare ReduceLogSumExp".split(
	" ",
))
	RULES[op] = reduce;

/** An operator's key in our tables: its name, with the domain in front when it is not the standard one. */
export const opKey = (node: Node): string =>
	node.domain ? `${node.domain}.${node.op}` : node.op;

/** The types of a node's outputs; an operator without a rule gives undefined for each. */
export function inferNode(c: InferContext): (ValueType | undefined)[] {
	return RULES[opKey(c.node)]?.(c) ?? c.node.outputs.map(() => undefined);
}

/** The tensor that a Constant node holds, where it holds one. */
export function constantOf(node: Node): Tensor | undefined {
	if (node.op !== "Constant") return undefined;
	const { value, value_int, value_ints, value_float, value_floats } =
		node.attrs;
	if (value?.kind === "tensor") return value.value;
	const ints = value_ints ?? value_int;
	if (ints) {
		const list = [ints.value].flat() as number[];
		return {
			dtype: "int64",
			dims: value_ints ? [list.length] : [],
			data: BigInt64Array.from(list.map(BigInt)),
		};
	}
	const reals = value_floats ?? value_float;
	if (!reals) return undefined;
	const list = [reals.value].flat() as number[];
	return {
		dtype: "float32",
		dims: value_floats ? [list.length] : [],
		data: Float32Array.from(list),
	};
}

/**
 * Types of every value in a graph, by name: declared ones first, the rest inferred node by node.
 * Values behind operators without a rule are absent.
 * @throws WattvoxError E_MODEL when a node reads a value that nothing makes
 */
export function inferTypes(graph: Graph): Map<string, ValueType> {
	const types = new Map<string, ValueType>();
	const consts = new Map(graph.initializers);
	for (const v of graph.inputs) types.set(v.name, v);
	for (const [name, t] of graph.initializers)
		types.set(name, { dtype: t.dtype, shape: t.dims });
	const made = new Set(types.keys());
	for (const node of graph.nodes) {
		for (const input of node.inputs)
			if (input && !made.has(input))
				throw new WattvoxError(
					"E_MODEL",
					`node ${node.name || node.op} reads ${input}, which nothing before it makes`,
				);
		const constant = constantOf(node);
		if (constant && node.outputs[0]) consts.set(node.outputs[0], constant);
		const inferred = inferNode({
			node,
			types: node.inputs.map((i) => types.get(i)),
			consts: node.inputs.map((i) => consts.get(i)),
			opset: graph.opsets[""] ?? 0,
		});
		node.outputs.forEach((name, i) => {
			made.add(name);
			const type = inferred[i] ?? graph.valueInfo.get(name);
			if (name && type) types.set(name, type);
		});
	}
	return types;
}
