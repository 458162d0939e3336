import { intsAttr, type Value } from "@wattvox/onnx";
import { unsupported, type VjpContext } from "./vjp.ts";

/** The integers of an input that is constant, or of the attribute that older opsets used instead. */
export function ints(
	c: VjpContext,
	index: number,
	attr: string,
): number[] | undefined {
	const tensor = c.constant(index);
	if (tensor)
		return Array.from(tensor.data as ArrayLike<number | bigint>, Number);
	return intsAttr(c.node, attr);
}

/** Like {@link ints}, for a setting that must not be computed at run time. */
export function fixedInts(
	c: VjpContext,
	index: number,
	attr: string,
): number[] | undefined {
	const list = ints(c, index, attr);
	if (!list && c.inputs[index])
		throw unsupported(c, `${attr} that are computed`);
	return list;
}

/** Sizes `from` to `to` of a value, as one-dimensional int64: constant where they are known. */
export function sizesOf(
	c: VjpContext,
	v: Value,
	from: number,
	to: number,
): Value {
	const dims = v.shape?.slice(from, to);
	return dims?.every((d) => typeof d === "number")
		? c.b.ints(dims)
		: c.b.slice(c.b.op("Shape", [v]), 0, from, to);
}

/** Zeros of the shape of `v`, which only the run may tell. */
export const zerosLike = (c: VjpContext, v: Value): Value =>
	c.b.op("ConstantOfShape", [c.b.op("Shape", [v])]);
