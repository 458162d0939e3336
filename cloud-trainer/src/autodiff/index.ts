export {
	checkGradients,
	type GradientCheckOptions,
	type GradientDeviation,
	type GradientReport,
} from "./check.ts";
export { type Differentiated, differentiate } from "./differentiate.ts";
export {
	type GradientRequest,
	type GradientResult,
	gradientsOf,
} from "./gradients-of.ts";
export { liftParameters } from "./lift.ts";
export { type DifferentiableOp, RULES, ZERO_GRADIENT } from "./rules.ts";
export {
	type OperatorSupport,
	operatorSupport,
	operatorsPage,
} from "./support.ts";
export type { Rule, VjpContext } from "./vjp.ts";
