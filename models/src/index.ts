export * from "./acoustic.ts";
export * from "./config.ts";
export * from "./encoders.ts";
export * from "./nn.ts";
export * from "./vocoder.ts";
