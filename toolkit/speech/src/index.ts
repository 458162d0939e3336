export { type Dft, dft } from "./fft.ts";
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
export { resample } from "./resample.ts";
export { readWav, type Wav, writeWav } from "./wav.ts";
export * from "./text/phones.ts";
export { Lexicon, LEXICON_FILE } from "./text/lexicon.ts";
export { LETTER_TO_SOUND_FILE, LetterToSound, type LetterToSoundHeader } from "./text/letter-to-sound.ts";
