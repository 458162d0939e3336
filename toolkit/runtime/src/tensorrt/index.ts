export { type EngineKey, engineKey, WORKSPACE_BYTES } from "./key.ts";
export type * from "./types.ts";
