export { type Differentiated, differentiate } from "./differentiate.ts";
export { type DifferentiableOp, RULES, ZERO_GRADIENT } from "./rules.ts";
export type { Rule, VjpContext } from "./vjp.ts";
