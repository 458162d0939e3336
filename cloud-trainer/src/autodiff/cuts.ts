import {
	type Dim,
	intAttr,
	stringAttr,
	subDims,
	type Value,
} from "@wattvox/onnx";
import { placeAlong, rangeOf, sizeOfAxis } from "./scatter.ts";
import { fixedInts, ints } from "./settings.ts";
import {
	fromFront,
	g0,
	input,
	type Rule,
	retype,
	shapeOf,
	unsupported,
	type VjpContext,
	x0,
	y0,
} from "./vjp.ts";

/** How many elements a slice along one axis leaves out in front and behind; undefined when unclear. */
function cutOf(
	d: Dim,
	rest: Dim,
	first: number | undefined,
	step: number | undefined,
): [before: number, after: number] | undefined {
	const cut = subDims(d, rest);
	if (cut === undefined || step !== 1 || first === undefined) return undefined;
	let start = first;
	if (start < 0) start = typeof d === "number" ? Math.max(0, d + start) : cut;
	return [Math.min(start, cut), cut - Math.min(start, cut)];
}

/** The axis-wise setting `i` of a Slice or a Pad as a one-dimensional int64 of one element. */
const nth = (c: VjpContext, v: Value, i: number): Value => {
	const known = v.ints?.[i];
	return typeof known === "number" && Math.abs(known) < 2 ** 53
		? c.b.ints([known])
		: c.b.slice(v, 0, i, i + 1);
};

/** Where only the run knows what a slice takes: the positions that it takes of 0, 1, 2... */
function rowsTaken(c: VjpContext, i: number, axis: number): Value {
	const { b } = c;
	const steps = c.inputs[4];
	return b.op("Slice", [
		rangeOf(c, sizeOfAxis(c, x0(c), axis)),
		nth(c, input(c, 1), i),
		nth(c, input(c, 2), i),
		b.ints([0]),
		...(steps ? [nth(c, steps, i)] : []),
	]);
}

/** dx of a Pad that repeats elements along one axis: the middle, and what each border came from. */
function unpadAxis(
	c: VjpContext,
	g: Value,
	axis: number,
	mode: string,
	[before, after]: [Value, Value],
): Value {
	const { b } = c;
	const one = b.ints([1]);
	const at = b.ints([axis]);
	const size = sizeOfAxis(c, x0(c), axis);
	const end = b.op("Add", [before, size]);
	const slice = (from: Value, to: Value) => b.op("Slice", [g, from, to, at]);
	const flip = (v: Value) =>
		b.op("Slice", [v, b.ints([-1]), b.ints([-(2 ** 31)]), at, b.ints([-1])]);
	const total = (v: Value) => b.sum(v, [axis], 1);
	const front = slice(b.ints([0]), before);
	const back = slice(end, b.op("Add", [end, after]));
	// Where the front and the back came from: how far from the first element of x.
	const rank = shapeOf(c, x0(c)).length;
	const nothing = new Array<number>(rank - 1).fill(0);
	const put = (part: Value, from: Value, length: Value) => {
		const rest = b.op("Sub", [size, b.op("Add", [from, length])]);
		const zeros = (n: number) => b.ints(nothing.slice(0, n));
		const pads = [
			zeros(axis),
			from,
			zeros(rank - 1 - axis),
			zeros(axis),
			rest,
			zeros(rank - 1 - axis),
		].filter((v) => v.shape?.[0] !== 0);
		return b.op("Pad", [part, b.concat(pads, 0)]);
	};
	const minus = (p: Value, q: Value) => b.op("Sub", [p, q]);
	const borders =
		mode === "reflect"
			? [
					put(flip(front), one, before),
					put(flip(back), minus(minus(size, one), after), after),
				]
			: mode === "edge"
				? [
						put(total(front), b.ints([0]), one),
						put(total(back), minus(size, one), one),
					]
				: [
						put(front, minus(size, before), before),
						put(back, b.ints([0]), after),
					];
	const dims = [...shapeOf(c, g)];
	dims[axis] = shapeOf(c, x0(c))[axis] as Dim;
	return b.assume(b.op("Sum", [slice(before, end), ...borders]), dims);
}

/** Rules for what cuts off, surrounds and repeats. */
export const cuts = {
	// The cotangent goes back between zeros.
	Slice: (c) => {
		const { b } = c;
		const [x, y] = [x0(c), y0(c)];
		const [xs, ys] = [shapeOf(c, x), shapeOf(c, y)];
		const given = fixedInts(c, 3, "axes");
		const count = input(c, 1).shape?.[0];
		if (!given && typeof count !== "number")
			throw unsupported(c, "an unknown number of starts");
		const axes = (given ?? [...Array(count).keys()]).map((a) =>
			fromFront(a, xs.length),
		);
		const starts = input(c, 1).ints;
		const steps = c.inputs[4] ? c.inputs[4].ints : axes.map(() => 1);
		const before = new Array<number>(xs.length).fill(0);
		const after = new Array<number>(xs.length).fill(0);
		let g = g0(c);
		axes.forEach((axis, i) => {
			const number = (v: Dim | undefined) =>
				typeof v === "number" ? v : undefined;
			const cut = cutOf(
				xs[axis] as Dim,
				ys[axis] as Dim,
				number(starts?.[i]),
				number(steps?.[i]),
			);
			if (cut) [before[axis], after[axis]] = cut as [number, number];
			else g = placeAlong(c, g, rowsTaken(c, i, axis), axis, x);
		});
		const padded = [...before, ...after].some((p) => p !== 0)
			? b.op("Pad", [g, b.ints([...before, ...after])])
			: g;
		return [retype(b, padded, x)];
	},
	// dx is what lies inside, plus, where the borders repeat elements, what lies on them; the constant
	// that surrounds has the sum of what lies outside
	Pad: (c) => {
		const { b } = c;
		const mode = stringAttr(c.node, "mode", "constant");
		const x = x0(c);
		const rank = shapeOf(c, x).length;
		const pads = ints(c, 1, "pads");
		const known = mode !== "constant" || !c.inputs[3] || c.constant(3);
		const axes = known
			? (fixedInts(c, 3, "axes") ?? [...Array(rank).keys()]).map((a) =>
					fromFront(a, rank),
				)
			: [];
		const n = axes.length;
		if (mode !== "constant") {
			if (pads?.some((p) => p < 0)) throw unsupported(c, "negative pads");
			let g = g0(c);
			axes.forEach((axis, i) => {
				if (pads && !pads[i] && !pads[i + n]) return;
				const all = input(c, 1);
				const around: [Value, Value] = [nth(c, all, i), nth(c, all, i + n)];
				g = unpadAxis(c, g, axis, mode, around);
			});
			return [retype(b, g, x)];
		}
		let dx = g0(c);
		if (known && pads?.every((p) => p >= 0))
			axes.forEach((axis, i) => {
				const [before = 0, after = 0] = [pads[i], pads[i + n]];
				if (before || after)
					dx = b.slice(dx, axis, before, after ? -after : undefined);
			});
		else
			dx = b.op("Pad", [
				dx,
				b.op("Neg", [input(c, 1)]),
				undefined,
				c.inputs[3],
			]);
		dx = retype(b, dx, x);
		const outside = () => b.sub(b.sum(g0(c)), b.sum(dx));
		return [dx, undefined, c.needs[2] ? outside() : undefined];
	},
	// x [d] repeated r times is [r, d]: dx is the sum over r
	Tile: (c) => {
		const { b } = c;
		const x = x0(c);
		const rank = shapeOf(c, x).length;
		if (!rank) return [g0(c)];
		const repeats = b.op("Unsqueeze", [input(c, 1), b.ints([1])]);
		const sizes = b.op("Unsqueeze", [b.op("Shape", [x]), b.ints([1])]);
		const target = b.reshape(b.concat([repeats, sizes], 1), [-1]);
		const apart = b.op("Reshape", [g0(c), target]);
		const every = Array.from({ length: rank }, (_, i) => 2 * i);
		const wide = b.assume(
			apart,
			shapeOf(c, x).flatMap((d, i) => [`tile${i}`, d]),
		);
		return [retype(b, b.sum(wide, every), x)];
	},
	Trilu: (c) => {
		const upper = intAttr(c.node, "upper", 1);
		return [c.b.op("Trilu", [g0(c), c.inputs[1]], { upper })];
	},
	Expand: (c) => [g0(c)],
} satisfies Record<string, Rule>;
