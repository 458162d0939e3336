import { meanPitch, trackPitch } from "@wattvox/speech";
import type { Utterance } from "./utterance.ts";

/** Hz of each voiced frame, one every 10 ms. */
export const voicedPitch = (
	samples: Float32Array,
	sampleRate: number,
): Float32Array => trackPitch(samples, sampleRate).hz.filter((hz) => hz > 0);

/** Mean pitch over the voiced frames of all clips, Hz; NaN where nothing is voiced. */
export const voicePitch = (clips: readonly Utterance[]): number =>
	meanPitch(Float32Array.from(clips.flatMap((c) => [...c.hz]))).hz;
