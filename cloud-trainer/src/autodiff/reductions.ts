import { intAttr, product, type Value } from "@wattvox/onnx";
import { ints } from "./settings.ts";
import {
	expandLike,
	fromFront,
	g0,
	input,
	mask,
	type Rule,
	reshapeLike,
	shapeOf,
	unsupported,
	type VjpContext,
	x0,
	y0,
} from "./vjp.ts";

/** Axes that a reduction folds, from the front; undefined where only the run knows them. */
function reducedAxes(c: VjpContext): number[] | undefined {
	const rank = shapeOf(c, x0(c)).length;
	const given = ints(c, 1, "axes");
	if (!given && c.inputs[1]) return undefined;
	if (given?.length) return given.map((a) => fromFront(a, rank));
	const noop = intAttr(c.node, "noop_with_empty_axes", 0) === 1;
	return noop ? [] : [...Array(rank).keys()];
}

/** `v` summed over the axes that the reduction folds, which stay as size 1. */
function sumOver(c: VjpContext, v: Value): Value {
	const axes = reducedAxes(c);
	if (axes) return axes.length ? c.b.sum(v, axes, 1) : v;
	return c.b.op("ReduceSum", [v, input(c, 1)], {
		keepdims: 1,
		noop_with_empty_axes: intAttr(c.node, "noop_with_empty_axes", 0),
	});
}

/** A reduction's cotangent (or output) with the reduced axes back as size 1. */
function keepAxes(c: VjpContext, v: Value): Value {
	if (intAttr(c.node, "keepdims", 1) === 1 || v.shape?.length === 0) return v;
	const axes = reducedAxes(c);
	if (!axes) return reshapeLike(c.b, v, sumOver(c, x0(c)));
	axes.sort((a, b) => a - b);
	return axes.length ? c.b.op("Unsqueeze", [v, c.b.ints(axes)]) : v;
}

/** How many inputs go into one output of a reduction, as a value to divide by. */
function countOf(c: VjpContext): Value {
	const [x, y] = [x0(c), y0(c)];
	const [nx, ny] = [product(x.shape ?? ["?"]), product(y.shape ?? ["?"])];
	if (nx !== undefined && ny !== undefined) return c.b.scalar(nx / ny);
	const size = (v: Value) => c.b.cast(c.b.op("Size", [v]), "float32");
	return c.b.div(size(x), size(y));
}

/** True where no axis is folded: the output is the input then. */
const folds = (c: VjpContext): boolean => reducedAxes(c)?.length !== 0;

/**
 * A reduction y of f(x), with `f` giving dx from x and from y and g with their axes kept.
 * @throws WattvoxError E_OP_UNSUPPORTED where no axis is folded: what happens then changed between
 * opsets for operators that compute something of a single element
 */
const reduction =
	(f: (c: VjpContext, x: Value, y: Value, g: Value) => Value): Rule =>
	(c) => {
		if (!folds(c) && shapeOf(c, x0(c)).length) throw unsupported(c, "no axes");
		return [f(c, x0(c), keepAxes(c, y0(c)), keepAxes(c, g0(c)))];
	};

/** Ties share the cotangent equally. */
const extremum: Rule = (c) => {
	if (!folds(c)) return [g0(c)];
	const { b } = c;
	const hit = mask(b, b.op("Equal", [x0(c), keepAxes(c, y0(c))]));
	return [b.mul(hit, b.div(keepAxes(c, g0(c)), sumOver(c, hit)))];
};

/** Rules for what folds axes away, and for running sums. */
export const reductions = {
	ReduceSum: (c) => [expandLike(c.b, keepAxes(c, g0(c)), x0(c))],
	ReduceMean: (c) => [
		expandLike(c.b, c.b.div(keepAxes(c, g0(c)), countOf(c)), x0(c)),
	],
	ReduceMax: extremum,
	ReduceMin: extremum,
	// dx = g times the product of the others: of all but a zero where it is the only one
	ReduceProd: (c) => {
		if (!folds(c)) return [g0(c)];
		const { b } = c;
		const zero = b.op("Equal", [x0(c), b.scalar(0)]);
		const zeros = mask(b, zero);
		const safe = b.op("Where", [zero, b.scalar(1), x0(c)]);
		const all = b.op("ReduceProd", axesOf(c, safe), axesAttrs(c));
		const others = b.op("Equal", [sumOver(c, zeros), zeros]);
		const dx = b.mul(keepAxes(c, g0(c)), b.div(all, safe));
		return [b.op("Where", [others, dx, b.scalar(0)])];
	},
	// y = sum |x|: dx = g sign x
	ReduceL1: reduction(({ b }, x, _y, g) => b.mul(g, b.op("Sign", [x]))),
	// y = sqrt(sum x^2): dx = g x / y, 0 where y is 0
	ReduceL2: reduction(({ b }, x, y, g) => {
		const flat = b.op("Equal", [y, b.scalar(0)]);
		const safe = b.op("Where", [flat, b.scalar(1), y]);
		return b.mul(x, b.div(g, safe));
	}),
	// y = sum x^2: dx = 2 g x
	ReduceSumSquare: reduction(({ b }, x, _y, g) => b.mul(x, b.affine(g, 2))),
	// y = log(sum x): dx = g e^-y
	ReduceLogSum: reduction((c, x, y, g) =>
		expandLike(c.b, c.b.mul(g, c.b.op("Exp", [c.b.op("Neg", [y])])), x),
	),
	// y = log(sum e^x): dx = g e^(x - y)
	ReduceLogSumExp: reduction(({ b }, x, y, g) =>
		b.mul(g, b.op("Exp", [b.sub(x, y)])),
	),
	// The transpose of a running sum runs the other way.
	CumSum: (c) => [
		c.b.op("CumSum", [g0(c), input(c, 1)], {
			exclusive: intAttr(c.node, "exclusive", 0),
			reverse: 1 - intAttr(c.node, "reverse", 0),
		}),
	],
} satisfies Record<string, Rule>;

/** The inputs of a like reduction of `v`: axes moved from an attribute to an input at opset 18. */
function axesOf(c: VjpContext, v: Value): Value[] {
	return c.inputs[1] ? [v, c.inputs[1]] : [v];
}

function axesAttrs(c: VjpContext) {
	const { axes, noop_with_empty_axes: noop } = c.node.attrs;
	return {
		keepdims: 1,
		...(axes && { axes }),
		...(noop && { noop_with_empty_axes: noop }),
	};
}
