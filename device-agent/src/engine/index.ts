export {
	EngineCache,
	type EngineCacheLimits,
	type EngineEntry,
	type EngineFailure,
	type EngineOrigin,
	engineId,
} from "./engine-cache.ts";
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
