export * from "./attach.ts";
export * from "./extract.ts";
export * from "./inject.ts";
export * from "./pair.ts";
export * from "./peft.ts";
export * from "./sites.ts";
export * from "./targets.ts";
