export type { EngineCacheLimits } from "./cache-bounds.ts";
export { EngineCache } from "./engine-cache.ts";
export {
	type EngineEntry,
	type EngineOrigin,
	engineId,
	type RefittedEntry,
} from "./entries.ts";
export type { EngineFailure } from "./failures.ts";
export {
	type OpenedPack,
	openPack,
	packEngine,
	requireClass,
} from "./pack.ts";
export { servesVoice } from "./pack-for.ts";
export {
	type EngineWish,
	type PreparedEngine,
	type PrepareOptions,
	prepareEngine,
} from "./prepare.ts";
export { findTrtexec, trtexecArguments, trtexecBuilder } from "./trtexec.ts";
