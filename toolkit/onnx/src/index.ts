export * from "./builder.ts";
export { bytesOf, dataFrom } from "./bytes.ts";
export { decodeModel, encodeModel } from "./codec.ts";
export * from "./dims.ts";
export * from "./einsum.ts";
export { readModel, type WriteModelOptions, writeModel } from "./external.ts";
export { fromHalf, toHalf } from "./half.ts";
export { constantOf, inferNode, inferTypes, opKey, typeOf } from "./infer.ts";
export {
	type LoraPair,
	loraKey,
	savedKey,
	type WeightChange,
	weightChanges,
} from "./lora.ts";
export * from "./merge.ts";
export * from "./precision.ts";
export * from "./safetensors.ts";
export { withoutSequences } from "./sequences.ts";
export { foldBranches, hoistConstants, isIf } from "./simplify.ts";
export * from "./tensor.ts";
export * from "./tensorrt/index.ts";
export * from "./types.ts";
export * from "./unroll.ts";
export * from "./windows.ts";
