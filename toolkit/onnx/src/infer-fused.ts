import { addDim, freshDim, mulDim } from "./dims.ts";
import { type Rule, shape0, type0 } from "./infer-context.ts";
import { type Dim, intAttr, type ValueType } from "./types.ts";

/** a + b, where one at least is known. */
const plus = (a: Dim, b: Dim): Dim =>
	typeof b === "number"
		? addDim(a, b)
		: typeof a === "number"
			? addDim(b, a)
			: freshDim();

/** A width that several heads share, by head. */
const perHead = (width: Dim, heads: number): Dim =>
	typeof width === "number" ? width / heads : freshDim();

/**
 * Y, then keys and values with those that passed before them, then the scores. Inputs are by heads,
 * [B, heads, S, D], or side by side, [B, S, heads D]; keys and values go out by heads.
 */
const attention: Rule = (c) => {
	const { dtype } = type0(c);
	const [q, k, v] = [shape0(c), c.types[1]?.shape, c.types[2]?.shape];
	if (!q || !k || !v)
		return c.node.outputs.map(() => ({ dtype, shape: undefined }));
	const own = intAttr(c.node, "kv_num_heads", 1);
	const byHeads = (s: readonly Dim[]): Dim[] =>
		s.length === 4
			? [...s]
			: [s[0] as Dim, own, s[1] as Dim, perHead(s[2] as Dim, own)];
	const past = c.types[4]?.shape?.[2] ?? (c.node.inputs[4] ? freshDim() : 0);
	const [keys, values] = [byHeads(k), byHeads(v)];
	const all = plus(keys[2] as Dim, past);
	const wide = values[3] as Dim;
	const out: Dim[] =
		q.length === 4
			? [...q.slice(0, 3), wide]
			: [
					q[0] as Dim,
					q[1] as Dim,
					mulDim(wide, intAttr(c.node, "q_num_heads", 1)),
				];
	const held = (s: Dim[]): ValueType => ({
		dtype,
		shape: [s[0] as Dim, s[1] as Dim, all, s[3] as Dim],
	});
	const types: ValueType[] = [
		{ dtype, shape: out },
		held(keys),
		held(values),
		{ dtype, shape: undefined },
	];
	return types.slice(0, c.node.outputs.length);
};

/** Operators that stand for several others. */
export const fusedRules: Record<string, Rule> = {
	Attention: attention,
	RotaryEmbedding: (c) => [type0(c)],
	"com.microsoft.Gelu": (c) => [type0(c)],
	"com.microsoft.FastGelu": (c) => [type0(c)],
};
