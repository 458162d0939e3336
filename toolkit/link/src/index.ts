export * from "./desired.ts";
export * from "./messages.ts";
export * from "./topics.ts";
