export * from "./eer.ts";
export * from "./mcd.ts";
export * from "./stats.ts";
export * from "./wer.ts";
