export { reportPower, reportStages, stageTable } from "./from-ledger.ts";
export { renderReport } from "./render.ts";
export type * from "./types.ts";
