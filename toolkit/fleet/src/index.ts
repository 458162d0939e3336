export * from "./broker.ts";
export * from "./publish.ts";
export * from "./store-server.ts";
