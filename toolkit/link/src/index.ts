export * from "./client.ts";
export * from "./desired.ts";
export * from "./fetch.ts";
export * from "./messages.ts";
export * from "./pull.ts";
export * from "./serve.ts";
export * from "./topics.ts";
