export * from "./broker.ts";
export * from "./broker-acl.ts";
export * from "./collector.ts";
export * from "./collector-table.ts";
export * from "./collector-totals.ts";
export * from "./publish.ts";
export * from "./store-server.ts";
