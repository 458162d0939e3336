export * from "./aligner.ts";
export * from "./transcript.ts";
export * from "./viterbi.ts";
