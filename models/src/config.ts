import { BASE_MEL, type MelConfig } from "@wattvox/speech";

/** Sizes of an acoustic model. Interfaces are the same for teacher and student. */
export interface AcousticConfig {
	/** Number of phone symbols, padding included. */
	symbols: number;
	/** Width of the text side. */
	width: number;
	heads: number;
	trunkLayers: number;
	contentLayers: number;
	/** Width of the conditioning vector made from the speaker. */
	cond: number;
	/** Width of the decoder. */
	decoderWidth: number;
	decoderLayers: number;
	/** Width of the posterior encoder, which only training uses. */
	posteriorWidth: number;
	/** Inner width of blocks as a multiple of the outer one. */
	expand: number;
}

/** Width of the content rows between the two edge graphs. */
export const CONTENT = 256;
/** Width of a speaker embedding. */
export const SPEAKER = 192;
/** Width of the VAE's latent per frame. */
export const LATENT = 16;
/** Position features per frame: from the front, from the back, log length. */
export const POSITION = 3;

/** Log-mel values are centred and scaled by these before a network sees them. */
export const MEL_MEAN = -5;
export const MEL_SCALE = 2.5;

/** The spectral frame of our models; part of a base's config, so that the rate is no constant. */
export const AUDIO: Readonly<MelConfig> = BASE_MEL;

/** The cloud's model. */
export const teacherConfig = (symbols: number): AcousticConfig => ({
	symbols,
	width: 192,
	heads: 4,
	trunkLayers: 3,
	contentLayers: 2,
	cond: 128,
	decoderWidth: 208,
	decoderLayers: 6,
	posteriorWidth: 128,
	expand: 2,
});

/** The edge's model: the same interfaces in under 30 % of the parameters. */
export const studentConfig = (symbols: number): AcousticConfig => ({
	symbols,
	width: 112,
	heads: 4,
	trunkLayers: 2,
	contentLayers: 1,
	cond: 64,
	decoderWidth: 128,
	decoderLayers: 5,
	posteriorWidth: 64,
	expand: 2,
});

export interface VocoderConfig {
	audio: MelConfig;
	width: number;
	layers: number;
	expand: number;
}

export const vocoderConfig: VocoderConfig = {
	audio: AUDIO,
	width: 256,
	layers: 6,
	expand: 2,
};

/** Dilations of a stack of blocks with three taps each: 1, 2, 4, 1, 2, 4, ... */
export const dilationOf = (layer: number): number => [1, 2, 4][layer % 3] ?? 1;
