// Parts of the agent that tests of other packages drive one by one.
export { Backlog } from "./backlog/backlog.ts";
export type { Entry } from "./backlog/entries.ts";
export { EngineCache } from "./engine/engine-cache.ts";
export { Floors } from "./floors.ts";
export { DeviceState } from "./state.ts";
export { Wishes } from "./wishes.ts";
