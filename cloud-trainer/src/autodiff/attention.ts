import {
	floatAttr,
	type GraphBuilder,
	int64s,
	intAttr,
	type Value,
} from "@wattvox/onnx";
import {
	input,
	type Rule,
	shapeOf,
	unsupported,
	type VjpContext,
	x0,
} from "./vjp.ts";

/** [B, S, heads D] as [B, heads, S, D]; a value that is so already stays. */
const byHeads = (b: GraphBuilder, v: Value, heads: number): Value =>
	v.shape?.length === 4
		? v
		: b.transpose(b.reshape(v, [0, 0, heads, -1]), [0, 2, 1, 3]);
/** [B, heads, S, D] as [B, S, heads D]. */
const sideBySide = (b: GraphBuilder, v: Value): Value =>
	b.reshape(b.transpose(v, [0, 2, 1, 3]), [0, 0, -1]);

/** A size that must be known when the graph is built. */
function fixedSize(c: VjpContext, v: Value, axis: number): number {
	const size = shapeOf(c, v)[axis];
	if (typeof size !== "number")
		throw unsupported(c, `size ${axis} of ${v.name} must be fixed`);
	return size;
}

const whole = (b: GraphBuilder, n: number): Value =>
	b.constant(int64s([n], []));
/** The third size of a value, as a scalar. */
const lengthOf = (b: GraphBuilder, v: Value): Value =>
	b.reshape(b.slice(b.op("Shape", [v]), 0, 2, 3), []);

/** Each head of keys or values as often as there are heads of queries to it. */
function repeated(c: VjpContext, v: Value, times: number): Value {
	const { b } = c;
	if (times === 1) return v;
	const apart = b.op("Unsqueeze", [v, b.ints([2])]);
	const copies = b.op("Expand", [apart, b.ints([1, 1, times, 1, 1])]);
	const rest = b.slice(b.op("Shape", [v]), 0, 2);
	const heads = fixedSize(c, v, 1) * times;
	return b.op("Reshape", [copies, b.concat([b.ints([0, heads]), rest], 0)]);
}

/** softmax(scale q k^T, capped, masked) v, as ONNX Runtime computes it. */
function attend(c: VjpContext, b: GraphBuilder): Value[] {
	const { node } = c;
	const flat = shapeOf(c, x0(c)).length === 3;
	const q = byHeads(b, x0(c), intAttr(node, "q_num_heads", 1));
	const own = (i: number) =>
		byHeads(b, input(c, i), intAttr(node, "kv_num_heads", 1));
	const [past, pastValue] = [c.inputs[4], c.inputs[5]];
	const key = past ? b.concat([past, own(1)], 2) : own(1);
	const value = pastValue ? b.concat([pastValue, own(2)], 2) : own(2);
	const times = fixedSize(c, q, 1) / fixedSize(c, key, 1);
	const scale = floatAttr(node, "scale", 1 / Math.sqrt(fixedSize(c, q, 3)));
	const turned = b.transpose(repeated(c, key, times), [0, 1, 3, 2]);
	let scores = b.affine(b.matmul(q, turned), scale);
	const cap = floatAttr(node, "softcap", 0);
	if (cap) scores = b.affine(b.op("Tanh", [b.affine(scores, 1 / cap)]), cap);
	const never = b.scalar(-1e30);
	const mask = c.inputs[3];
	if (mask)
		scores =
			mask.dtype === "bool"
				? b.op("Where", [mask, scores, never])
				: b.add(scores, mask);
	if (intAttr(node, "is_causal", 0) === 1) {
		const range = (end: Value) =>
			b.op("Range", [whole(b, 0), end, whole(b, 1)]);
		// A query's own place is behind what has passed.
		const offset = past ? lengthOf(b, past) : whole(b, 0);
		const rows = b.add(b.reshape(range(lengthOf(b, q)), [-1, 1]), offset);
		const seen = b.op("GreaterOrEqual", [rows, range(lengthOf(b, key))]);
		scores = b.op("Where", [seen, scores, never]);
	}
	const out = b.matmul(
		b.op("Softmax", [scores], { axis: -1 }),
		repeated(c, value, times),
	);
	return [flat ? sideBySide(b, out) : out, key, value];
}

/**
 * (x1, x2) -> (cos x1 - sin x2, sin x1 + cos x2), with x1 and x2 the halves of the turned part of each
 * head, or its even and odd elements.
 */
function rotate(c: VjpContext, b: GraphBuilder): Value[] {
	const { node } = c;
	const x = x0(c);
	const heads = intAttr(node, "num_heads", 1);
	const wide = byHeads(b, x, heads);
	const size = fixedSize(c, wide, 3);
	const turned = intAttr(node, "rotary_embedding_dim", 0) || size;
	const half = turned / 2;
	const places = c.inputs[3];
	// The caches are [S, half] by place, or [B, S, half]; heads share them.
	const cache = (i: number) =>
		b.op("Unsqueeze", [
			places ? b.op("Gather", [input(c, i), places]) : input(c, i),
			b.ints([1]),
		]);
	const [cos, sin] = [cache(1), cache(2)];
	const interleaved = intAttr(node, "interleaved", 0) === 1;
	const part = turned < size ? b.slice(wide, 3, 0, turned) : wide;
	const pairs = interleaved ? b.reshape(part, [0, 0, 0, half, 2]) : part;
	const [x1, x2] = b
		.ops("Split", [pairs, b.ints(interleaved ? [1, 1] : [half, half])], 2, {
			axis: -1,
		})
		.map((v) => (interleaved ? b.op("Squeeze", [v, b.ints([4])]) : v)) as [
		Value,
		Value,
	];
	const both = [
		b.sub(b.mul(cos, x1), b.mul(sin, x2)),
		b.add(b.mul(sin, x1), b.mul(cos, x2)),
	];
	const joined = interleaved
		? b.reshape(
				b.concat(
					both.map((v) => b.op("Unsqueeze", [v, b.ints([4])])),
					4,
				),
				[0, 0, 0, turned],
			)
		: b.concat(both, 3);
	const out =
		turned < size ? b.concat([joined, b.slice(wide, 3, turned)], 3) : joined;
	return [shapeOf(c, x).length === 3 ? sideBySide(b, out) : out];
}

/** Rules for the layers of opset 23 that are attention or part of it: through their definitions. */
export const attention = {
	Attention: (c) => {
		if (c.grads[3]) throw unsupported(c, "its scores as an output");
		return c.through((b) => attend(c, b));
	},
	RotaryEmbedding: (c) => c.through((b) => rotate(c, b)),
} satisfies Record<string, Rule>;
