export * from "./client.ts";
export * from "./collect.ts";
export * from "./lessons.ts";
export * from "./prepare.ts";
export * from "./sentences.ts";
export * from "./shapes.ts";
export * from "./sound.ts";
export * from "./teacher-error.ts";
