import {
	type Dim,
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

export type Rule = (c: InferContext) => (ValueType | undefined)[];

export const type0 = (c: InferContext): ValueType => c.types[0] as ValueType;
export const shape0 = (c: InferContext): Dim[] | undefined => c.types[0]?.shape;
export const axisOf = (axis: number, rank: number): number =>
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
	const list = c.types[index]?.ints;
	if (list?.every((d) => typeof d === "number")) return list as number[];
	return intsAttr(c.node, attr);
}

/** Like {@link constInts}, where symbols and unknown elements will do. */
export const dimsGiven = (
	c: InferContext,
	index: number,
	attr: string,
): (Dim | undefined)[] | undefined =>
	constInts(c, index, attr) ?? c.types[index]?.ints;
