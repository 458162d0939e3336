export * from "./batches.ts";
export * from "./spec.ts";
export * from "./tune.ts";
export { weightsOf } from "./weights.ts";
