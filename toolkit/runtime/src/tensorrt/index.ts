export { type CompileOptions, compileShim } from "./compile.ts";
export {
	type Outcomes,
	runIsolated,
	type Task,
} from "./isolated.ts";
export { type EngineKey, engineKey, WORKSPACE_BYTES } from "./key.ts";
export { LEASH, leashed, MEMORY_BYTES } from "./leash.ts";
export { openTensorRt } from "./open.ts";
export type * from "./types.ts";
export { workshop } from "./workshop.ts";
