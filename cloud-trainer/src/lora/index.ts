export * from "./inject.ts";
export * from "./peft.ts";
