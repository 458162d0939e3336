export type {
	Engine,
	Feeds,
	Port,
	Results,
	RunOptions,
} from "./engine.ts";
export { checkFeeds, tensorOf } from "./engine.ts";
export { EngineHost } from "./host.ts";
export {
	awaken,
	createEngine,
	type EngineOptions,
	type GivenModel,
} from "./onnx-engine.ts";
export { noTelemetry } from "./telemetry.ts";
export {
	type DataOf,
	type Dtype,
	type Feed,
	type Given,
	give,
	isDtype,
	sizeOf,
	type Tensor,
	type TensorData,
	tensor,
} from "./tensor.ts";
