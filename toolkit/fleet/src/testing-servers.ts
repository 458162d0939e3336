/** Brokers and a database from Debian, and parts of the fleet, for tests and benchmarks of other packages. */
export { RetainedStore } from "./broker-retained.ts";
export * from "./power/testing-postgres.ts";
export * from "./testing-brokers.ts";
