// Parts of the agent that tests of other packages drive one by one.
export { Backlog } from "./backlog/backlog.ts";
export type { Entry } from "./backlog/entries.ts";
export { EngineCarrier } from "./engine/carrier.ts";
export { EngineCache } from "./engine/engine-cache.ts";
export { openPack, packEngine } from "./engine/pack.ts";
export { servesVoice } from "./engine/pack-for.ts";
export { Floors } from "./floors.ts";
export { loadVoice } from "./speaker/load-voice.ts";
export { DeviceState } from "./state.ts";
export { Wishes } from "./wishes.ts";
