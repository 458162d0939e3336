export type { Frontend, SpokenSentence } from "./frontend.ts";
export {
	type SpeakOptions,
	Utterance,
	type UtteranceStats,
} from "./utterance.ts";
export { type LoadOptions, Voice } from "./voice.ts";
export {
	parseVoiceConfig,
	type VoiceConfig,
	zVoiceConfig,
} from "./voice-config.ts";
export { readVoiceFiles, type VoiceFiles } from "./voice-files.ts";
