/** Brokers and a database from Debian, for tests and benchmarks of other packages. */
export * from "./power/testing-postgres.ts";
export * from "./testing-brokers.ts";
