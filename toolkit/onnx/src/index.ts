export * from "./builder.ts";
export { bytesOf, dataFrom, decodeModel, encodeModel } from "./codec.ts";
export * from "./dims.ts";
export { fromHalf, toHalf } from "./half.ts";
export { constantOf, inferNode, inferTypes, opKey } from "./infer.ts";
export * from "./merge.ts";
export * from "./safetensors.ts";
export * from "./tensor.ts";
export * from "./types.ts";
