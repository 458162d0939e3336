export * from "./build.ts";
export { type Loss, type LossSpec, lossSchema } from "./spec.ts";
export { spectralDistance } from "./spectral.ts";
