export * from "./errors.ts";
export * from "./files.ts";
