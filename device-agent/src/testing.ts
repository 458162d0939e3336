// Parts of the agent that tests of other packages drive one by one.
export { Floors } from "./floors.ts";
export { DeviceState } from "./state.ts";
export { Wishes } from "./wishes.ts";
