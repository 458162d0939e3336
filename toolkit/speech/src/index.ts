export * from "./clip.ts";
export { type Dft, dft } from "./fft.ts";
export * from "./loudness.ts";
export {
	BASE_MEL,
	frameCount,
	hann,
	hzToMel,
	LOG_FLOOR,
	LOG_MEL_MIN,
	logMel,
	type MelConfig,
	melBasis,
	melPoints,
	melToHz,
	stft,
} from "./mel.ts";
export * from "./pitch.ts";
export { resample } from "./resample.ts";
export {
	detectSpeech,
	type Segment,
	type SliceOptions,
	slice,
} from "./slice.ts";
export {
	LETTER_TO_SOUND_FILE,
	LetterToSound,
	type LetterToSoundHeader,
} from "./text/letter-to-sound.ts";
export { LEXICON_FILE, Lexicon } from "./text/lexicon.ts";
export { normalise } from "./text/normalise.ts";
export * from "./text/phones.ts";
export {
	Pronouncer,
	type Pronunciation,
	type Source,
} from "./text/pronounce.ts";
export type { Skipped } from "./text/script.ts";
export { splitSentences } from "./text/sentences.ts";
export {
	type Spoken,
	type SpokenSentence,
	type SpokenWord,
	toPhones,
} from "./text/to-phones.ts";
export { readWav, type Wav, writeWav } from "./wav.ts";
