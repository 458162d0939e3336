import { intAttr } from "@wattvox/onnx";
import { REFUSED } from "./refused.ts";
import {
	fromFront,
	g0,
	input,
	type Rule,
	shapeOf,
	unsupported,
	x0,
} from "./vjp.ts";

/** The rule for values that are stored as integers. */
export const quantized = {
	// y = (x - zero) scale: dscale = g (x - zero), summed over what one scale stands for
	DequantizeLinear: (c) => {
		const { b } = c;
		if (c.needs[0]) throw unsupported(c, REFUSED.QuantizeLinear as string);
		if (intAttr(c.node, "block_size", 0))
			throw unsupported(c, "scales of blocks");
		const x = b.cast(x0(c), "float32");
		const zero = c.inputs[2];
		const rank = shapeOf(c, x).length;
		const many = shapeOf(c, input(c, 1)).length === 1;
		const axis = fromFront(intAttr(c.node, "axis", 1), rank);
		const inner = [...Array(rank).keys()].filter((i) => i !== axis);
		const wide = (v: typeof x) =>
			many
				? b.reshape(v, [-1, ...inner.filter((i) => i > axis).map(() => 1)])
				: v;
		const off = zero ? b.sub(x, wide(b.cast(zero, "float32"))) : x;
		const product = b.mul(g0(c), off);
		const each = many && !inner.length;
		return [undefined, each ? product : b.sum(product, many ? inner : [])];
	},
} satisfies Record<string, Rule>;
