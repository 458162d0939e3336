import { type Dim, intAttr, stringAttr, type Value } from "@wattvox/onnx";
import { addAlong, oneHot, rangeOf, scatterAdd } from "./scatter.ts";
import { sizesOf, zerosLike } from "./settings.ts";
import {
	fromFront,
	g0,
	input,
	type Rule,
	reshapeLike,
	retype,
	shapeOf,
	unsupported,
	type VjpContext,
	x0,
} from "./vjp.ts";

const axisOf = (c: VjpContext, fallback: number): number =>
	fromFront(intAttr(c.node, "axis", fallback), shapeOf(c, x0(c)).length);

/** What the updates of a scatter do to what was there. @throws WattvoxError for what is not a sum */
function addsUp(c: VjpContext): boolean {
	const how = stringAttr(c.node, "reduction", "none");
	if (how !== "none" && how !== "add")
		throw unsupported(c, `the reduction ${how}`);
	return how === "add";
}

/** The product of one-dimensional sizes, as one element. */
const productOf = ({ b }: VjpContext, sizes: Value): Value =>
	b.op("ReduceProd", [sizes], { keepdims: 1 });

/**
 * The positions that GatherND's indices [..., k] name, counted through the first k axes behind the
 * batch (and the batch before them), one-dimensional.
 */
function flatRows(c: VjpContext, batch: number, depth: number): Value {
	const { b } = c;
	const [x, indices] = [x0(c), input(c, 1)];
	const sizes = sizesOf(c, x, batch, batch + depth);
	// The stride of an axis: the product of the sizes behind it.
	const strides = Array.from({ length: depth }, (_, i) =>
		i === depth - 1
			? b.ints([1])
			: productOf(c, sizesOf(c, x, batch + i + 1, batch + depth)),
	);
	const zero = b.constant({
		dtype: "int64",
		dims: [],
		data: BigInt64Array.of(0n),
	});
	const front = b.op("Where", [
		b.op("Less", [indices, zero]),
		b.op("Add", [indices, sizes]),
		indices,
	]);
	let rows = b.op(
		"ReduceSum",
		[b.op("Mul", [front, b.concat(strides, 0)]), b.ints([-1])],
		{ keepdims: 0 },
	);
	if (batch) {
		const batches = sizesOf(c, x, 0, batch);
		const first = b.op("Mul", [
			rangeOf(c, productOf(c, batches)),
			productOf(c, sizes),
		]);
		const inner = shapeOf(c, indices).length - 1 - batch;
		const column = b.concat(
			[batches, ...(inner ? [b.ints(new Array(inner).fill(1))] : [])],
			0,
		);
		rows = b.op("Add", [rows, b.op("Reshape", [first, column])]);
	}
	return b.reshape(rows, [-1]);
}

/** Rules for operators that choose elements by index. Duplicate indices add up. */
export const indexing = {
	Gather: (c) => {
		const { b } = c;
		const [table, indices] = [x0(c), input(c, 1)];
		const rank = shapeOf(c, table).length;
		const axis = axisOf(c, 0);
		const flat = b.reshape(indices, [-1]);
		let g = g0(c);
		if (shapeOf(c, indices).length !== 1) {
			const parts = [
				...(axis ? [sizesOf(c, table, 0, axis)] : []),
				b.ints([-1]),
				...(axis < rank - 1 ? [sizesOf(c, table, axis + 1, rank)] : []),
			];
			g = b.op("Reshape", [g, b.concat(parts, 0)]);
			const dims: Dim[] = [...shapeOf(c, table)];
			dims[axis] = flat.shape?.[0] ?? "?";
			g = b.assume(g, dims);
		}
		return [addAlong(c, g, flat, axis, table)];
	},
	GatherElements: (c) => [
		scatterAdd(c, input(c, 1), g0(c), axisOf(c, 0), x0(c)),
	],
	// As Gather from x with the axes that are indexed folded into one.
	GatherND: (c) => {
		const { b } = c;
		const [x, indices] = [x0(c), input(c, 1)];
		const batch = intAttr(c.node, "batch_dims", 0);
		const depth = shapeOf(c, indices).at(-1);
		if (typeof depth !== "number")
			throw unsupported(c, "indices of a length that is unknown");
		const rows = flatRows(c, batch, depth);
		const count = productOf(c, sizesOf(c, x, 0, batch + depth));
		const known = b.op("Reshape", [x, b.concat([count, b.ints([-1])], 0)]);
		const g = b.op("Reshape", [
			g0(c),
			b.concat([b.op("Shape", [rows]), b.ints([-1])], 0),
		]);
		return [reshapeLike(b, addAlong(c, g, rows, 0, known), x)];
	},
	// y = data, but for the updates at the indices: what was overwritten has no cotangent
	ScatterElements: (c) => {
		const { b } = c;
		const [indices, updates] = [input(c, 1), input(c, 2)];
		const axis = intAttr(c.node, "axis", 0);
		const over = () =>
			b.op("ScatterElements", [g0(c), indices, zerosLike(c, updates)], {
				axis,
			});
		return [
			addsUp(c) ? g0(c) : c.needs[0] ? over() : undefined,
			undefined,
			c.needs[2]
				? retype(b, b.op("GatherElements", [g0(c), indices], { axis }), updates)
				: undefined,
		];
	},
	ScatterND: (c) => {
		const { b } = c;
		const [indices, updates] = [input(c, 1), input(c, 2)];
		const over = () =>
			b.op("ScatterND", [g0(c), indices, zerosLike(c, updates)]);
		return [
			addsUp(c) ? g0(c) : c.needs[0] ? over() : undefined,
			undefined,
			c.needs[2]
				? retype(b, b.op("GatherND", [g0(c), indices]), updates)
				: undefined,
		];
	},
	// The values come from the places that the second output names, each once.
	TopK: (c) => {
		if (!c.grads[0]) return [undefined];
		const { b } = c;
		const places = b.extend(c.node, 2)[1] as Value;
		const dx = b.op("ScatterElements", [zerosLike(c, x0(c)), places, g0(c)], {
			axis: axisOf(c, -1),
		});
		return [retype(b, dx, x0(c))];
	},
	// y = off + (on - off) hot: d[off, on] = [sum(g (1 - hot)), sum(g hot)]
	OneHot: (c) => {
		const { b } = c;
		const hot = oneHot(c, x0(c), input(c, 1), intAttr(c.node, "axis", -1));
		const on = b.sum(b.mul(g0(c), hot));
		const both = [b.sub(b.sum(g0(c)), on), on];
		return [
			undefined,
			undefined,
			b.concat(
				both.map((v) => b.reshape(v, [1])),
				0,
			),
		];
	},
} satisfies Record<string, Rule>;
