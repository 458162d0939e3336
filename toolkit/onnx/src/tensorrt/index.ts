export {
	checkTensorrt,
	requireTensorrt,
	type TensorrtFinding,
} from "./check.ts";
export { spellOutNorms, toTensorrt } from "./lower.ts";
export {
	TENSORRT_OPSETS,
	TENSORRT_VERSIONS,
	type TensorrtVersion,
} from "./operators.ts";
