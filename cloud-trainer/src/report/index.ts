export { renderReport } from "./render.ts";
export type * from "./types.ts";
