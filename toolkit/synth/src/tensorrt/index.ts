export {
	type DecoderModel,
	decoderModel,
	tensorrtColumn,
} from "./decoder-model.ts";
export {
	ENGINE_LIMIT_DB,
	type EngineGap,
	engineGap,
	type GoldenRun,
	goldenRuns,
} from "./golden-runs.ts";
