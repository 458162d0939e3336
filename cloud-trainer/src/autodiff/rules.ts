import { activations } from "./activations.ts";
import { attention } from "./attention.ts";
import { conv } from "./conv.ts";
import { cuts } from "./cuts.ts";
import { einsum } from "./einsum.ts";
import { elementwise } from "./elementwise.ts";
import { fused } from "./fused.ts";
import { indexing } from "./indexing.ts";
import { linear } from "./linear.ts";
import { losses } from "./losses.ts";
import { norm } from "./norm.ts";
import { pool } from "./pool.ts";
import { quantized } from "./quantized.ts";
import { recurrent } from "./recurrent.ts";
import { reductions } from "./reductions.ts";
import { resizing } from "./resize.ts";
import { sampling } from "./sampling.ts";
import { structural } from "./structural.ts";
import type { Rule } from "./vjp.ts";

/**
 * The rules by the file that holds them: no operator stands in two. What changes here changes
 * docs/OPERATORS.md: `npm run operators` writes it.
 */
export const FAMILIES = {
	activations,
	conv,
	cuts,
	einsum,
	elementwise,
	indexing,
	linear,
	losses,
	quantized,
	reductions,
	norm,
	pool,
	resizing,
	recurrent,
	sampling,
	fused,
	attention,
	structural,
};

/** Every differentiable operator and its rule; a key with a dot names the operator's domain. */
export const RULES = {
	...activations,
	...conv,
	...cuts,
	...einsum,
	...elementwise,
	...indexing,
	...linear,
	...losses,
	...quantized,
	...reductions,
	...norm,
	...pool,
	...resizing,
	...recurrent,
	...sampling,
	...fused,
	...attention,
	...structural,
} satisfies Record<string, Rule>;

/** An operator that we differentiate. */
export type DifferentiableOp = keyof typeof RULES;

/** Operators whose outputs do not move with their inputs, or only in steps: the gradient is zero. */
export const ZERO_GRADIENT: ReadonlySet<string> = new Set([
	"And",
	"ArgMax",
	"ArgMin",
	"Bernoulli",
	"BitShift",
	"BitwiseAnd",
	"BitwiseNot",
	"BitwiseOr",
	"BitwiseXor",
	"Ceil",
	"Constant",
	"ConstantOfShape",
	"Equal",
	"EyeLike",
	"Floor",
	"Greater",
	"GreaterOrEqual",
	"Hardmax",
	"IsInf",
	"IsNaN",
	"Less",
	"LessOrEqual",
	"Multinomial",
	"NonMaxSuppression",
	"NonZero",
	"Not",
	"Or",
	"RandomNormal",
	"RandomNormalLike",
	"RandomUniform",
	"RandomUniformLike",
	"Range",
	"Round",
	"Shape",
	"Sign",
	"Size",
	"Xor",
]);

/** The rule of an operator, or undefined. */
export const ruleOf = (op: string): Rule | undefined =>
	Object.hasOwn(RULES, op) ? RULES[op as DifferentiableOp] : undefined;
