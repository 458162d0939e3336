export type { Frontend, SpokenSentence } from "./frontend.ts";
export {
	checkGolden,
	GOLDEN_LIMITS,
	type Golden,
	type GoldenLimits,
	type GoldenResult,
	makeGolden,
	parseGolden,
} from "./golden.ts";
export { Playhead } from "./playhead.ts";
export { type SayOptions, sayToFile, syntheticTag } from "./say.ts";
export {
	concat,
	type SpeakOptions,
	Utterance,
	type UtteranceStats,
} from "./utterance.ts";
export { type LoadOptions, Voice } from "./voice.ts";
export {
	parseJson,
	parseVoiceConfig,
	type VoiceConfig,
	zVoiceConfig,
} from "./voice-config.ts";
export { readVoiceFiles, type VoiceFiles } from "./voice-files.ts";
