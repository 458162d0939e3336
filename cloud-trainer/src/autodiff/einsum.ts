import { einsumLabels, stringAttr, type Value } from "@wattvox/onnx";
import {
	expandLike,
	g0,
	input,
	type Rule,
	shapeOf,
	unsupported,
	type VjpContext,
} from "./vjp.ts";

const LETTERS = [..."abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"];

/** Labels as letters: those that an ellipsis stood for get some that are free. */
function lettersFor(labels: readonly string[][]): Map<string, string> {
	const used = new Set(labels.flat());
	const free = LETTERS.filter((l) => !used.has(l));
	return new Map(
		[...used].map((l) => [l, /\d/.test(l) ? (free.shift() as string) : l]),
	);
}

/**
 * The cotangent of input `k`: the equation with the output in the input's place. A label that stands
 * nowhere else was summed over alone, so the cotangent is the same all along it. Sizes of 1 that were
 * broadcast are summed by the walk.
 */
function cotangentOf(
	c: VjpContext,
	k: number,
	inputs: readonly string[][],
	output: readonly string[],
): Value {
	const { b } = c;
	const own = inputs[k] as string[];
	const others = inputs.flatMap((labels, i) =>
		i === k ? [] : [{ labels, value: input(c, i) }],
	);
	// Without axes the output's cotangent is a factor.
	const whole = output.length === 0;
	const terms = whole ? others : [{ labels: output, value: g0(c) }, ...others];
	const seen = new Set(terms.flatMap((t) => t.labels));
	const kept = own.filter((l) => seen.has(l));
	let dx: Value;
	if (!terms.length) dx = g0(c);
	else {
		const equation = `${terms.map((t) => t.labels.join("")).join(",")}->${kept.join("")}`;
		dx = b.op(
			"Einsum",
			terms.map((t) => t.value),
			{ equation },
		);
		if (whole) dx = b.mul(dx, g0(c));
	}
	if (kept.length === own.length) return dx;
	const gone = own.flatMap((l, i) => (seen.has(l) ? [] : [i]));
	if (!terms.length) return expandLike(b, dx, input(c, k));
	const wide = b.op("Unsqueeze", [dx, b.ints(gone)]);
	// Kept axes may be broader here than in the input: those the walk sums.
	const broad = own.some(
		(l, i) =>
			seen.has(l) && input(c, k).shape?.[i] !== dx.shape?.[kept.indexOf(l)],
	);
	if (!broad) return expandLike(b, wide, input(c, k));
	return b.mul(wide, onesLike(c, input(c, k)));
}

/**
 * The same sum with no index twice in a term: "ii->i" is "ij,ij->i" with a unit matrix, so the index's
 * second place gets a label of its own.
 */
function withoutDiagonals(
	c: VjpContext,
	read: { inputs: readonly string[][]; output: readonly string[] },
): Value {
	const { b } = c;
	const letters = lettersFor(read.inputs);
	const used = new Set(letters.values());
	const free = LETTERS.filter((l) => !used.has(l));
	const units: { labels: string; value: Value }[] = [];
	const terms = read.inputs.map((labels, k) => {
		const x = input(c, k);
		const sizes = b.op("Shape", [x]);
		return labels
			.map((label, i) => {
				const letter = letters.get(label) as string;
				const first = labels.indexOf(label);
				if (first === i) return letter;
				const own = free.shift();
				if (!own) throw unsupported(c, "more than 52 indices");
				const square = b.op("Gather", [sizes, b.ints([first, i])]);
				const unit = b.op("EyeLike", [b.op("ConstantOfShape", [square])]);
				const n = x.shape?.[i] ?? 1;
				units.push({ labels: letter + own, value: b.assume(unit, [n, n]) });
				return own;
			})
			.join("");
	});
	const output = read.output.map((l) => letters.get(l)).join("");
	return b.op(
		"Einsum",
		[...terms.map((_, k) => input(c, k)), ...units.map((u) => u.value)],
		{
			equation: `${[...terms, ...units.map((u) => u.labels)].join(",")}->${output}`,
		},
	);
}

const onesLike = (c: VjpContext, v: Value): Value =>
	expandLike(c.b, c.b.scalar(1), v);

/** The rule for sums of products that are written as an equation. */
export const einsum = {
	Einsum: (c) => {
		const read = einsumLabels(
			stringAttr(c.node, "equation", ""),
			c.inputs.map((_, i) => shapeOf(c, input(c, i)).length),
		);
		for (const labels of read.inputs)
			if (new Set(labels).size < labels.length)
				return c.through(() => [withoutDiagonals(c, read)]);
		const letters = lettersFor(read.inputs);
		const spelt = (labels: readonly string[]) =>
			labels.map((l) => letters.get(l) as string);
		const inputs = read.inputs.map(spelt);
		return inputs.map((_, k) =>
			c.needs[k] ? cotangentOf(c, k, inputs, spelt(read.output)) : undefined,
		);
	},
} satisfies Record<string, Rule>;
