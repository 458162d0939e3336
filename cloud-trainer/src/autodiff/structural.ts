import { type Dim, intAttr, intsAttr, type Value } from "@wattvox/onnx";
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
	y0,
} from "./vjp.ts";

/** A Concat's cotangent cut into pieces of the inputs' sizes, which the graph reads off when it runs. */
function splitAsInputs(c: VjpContext, axis: number): (Value | undefined)[] {
	const { b } = c;
	const sizes = c.inputs.map((_, i) =>
		b.slice(b.op("Shape", [input(c, i)]), 0, axis, axis + 1),
	);
	return b
		.ops("Split", [g0(c), b.concat(sizes, 0)], sizes.length, { axis })
		.map((part, i) => retype(b, part, input(c, i)));
}

const like: Rule = (c) => [reshapeLike(c.b, g0(c), x0(c))];

/** Rules for operators that move, copy, sum or choose elements. */
export const structural = {
	Reshape: like,
	Flatten: like,
	Squeeze: like,
	Unsqueeze: like,
	Transpose: (c) => {
		const rank = shapeOf(c, x0(c)).length;
		const perm = intsAttr(c.node, "perm") ?? [...Array(rank).keys()].reverse();
		const inverse = perm.map((_, i) => perm.indexOf(i));
		return [c.b.transpose(g0(c), inverse)];
	},
	Concat: (c) => {
		const axis = fromFront(
			intAttr(c.node, "axis", 0),
			shapeOf(c, y0(c)).length,
		);
		const sizes = c.inputs.map((v) => v?.shape?.[axis] as Dim);
		const at = sizes.findIndex((d) => typeof d !== "number");
		// Two open sizes: only the run knows where one ends.
		if (at >= 0 && sizes.some((d, i) => i > at && typeof d !== "number"))
			return splitAsInputs(c, axis);
		// From the front until the open one, from the back after it.
		const total = (list: Dim[]) =>
			list.reduce<number>((s, d) => s + Number(d), 0);
		return c.inputs.map((v, i) => {
			if (!v || !c.needs[i]) return undefined;
			const before = total(sizes.slice(0, i));
			const after = total(sizes.slice(i + 1));
			const size = Number(sizes[i]);
			const part =
				at < 0 || i < at
					? c.b.slice(g0(c), axis, before, before + size)
					: c.b.slice(
							g0(c),
							axis,
							i === at ? before : -after - size,
							after ? -after : undefined,
						);
			return retype(c.b, part, v);
		});
	},
	Split: (c) => {
		const axis = intAttr(c.node, "axis", 0);
		const parts = c.outputs.map((y, i) => {
			if (!y) throw unsupported(c, "an output that is left out");
			return c.grads[i] ?? c.b.op("ConstantOfShape", [c.b.op("Shape", [y])]);
		});
		return [retype(c.b, c.b.concat(parts, axis), x0(c))];
	},
} satisfies Record<string, Rule>;
