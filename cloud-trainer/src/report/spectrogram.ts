import { indexedPng } from "./png.ts";
import type { ReportSpectrogram } from "./types.ts";

/** Span that the colours cover below the loudest bin: 8 nats of magnitude are 69 dB. */
const RANGE = 8;

/** Control points of the palette, quiet to loud; even steps in lightness, so that equal steps look equal. */
const STOPS = [
	[16, 17, 28],
	[45, 32, 82],
	[103, 43, 112],
	[170, 60, 103],
	[222, 95, 78],
	[246, 150, 70],
	[251, 206, 110],
	[255, 247, 205],
] as const;

/** 256 colours, 3 bytes each. */
export function palette(): Uint8Array {
	const out = new Uint8Array(256 * 3);
	for (let i = 0; i < 256; i++) {
		const at = (i / 255) * (STOPS.length - 1);
		const from = Math.min(STOPS.length - 2, Math.floor(at));
		for (let c = 0; c < 3; c++) {
			const a = STOPS[from]?.[c] ?? 0;
			const b = STOPS[from + 1]?.[c] ?? 0;
			out[i * 3 + c] = Math.round(a + (b - a) * (at - from));
		}
	}
	return out;
}

/** The loudest bin of several spectrograms, natural log: drawn against one level, they compare. */
export function loudest(of: readonly ReportSpectrogram[]): number {
	let most = Number.NEGATIVE_INFINITY;
	for (const { mel } of of)
		for (const value of mel)
			if (value > most && value < Number.POSITIVE_INFINITY) most = value;
	return most === Number.NEGATIVE_INFINITY ? 0 : most;
}

/**
 * A spectrogram as a PNG: one column per frame, one row per band, low bands at the bottom.
 * @param top natural log that gets the brightest colour; see {@link loudest}
 */
export function spectrogramPng(
	{ mel, frames, nMels }: ReportSpectrogram,
	top: number,
): Uint8Array {
	const pixels = new Uint8Array(frames * nMels);
	for (let t = 0; t < frames; t++)
		for (let m = 0; m < nMels; m++) {
			const value = mel[t * nMels + m] ?? Number.NaN;
			const share = (value - top + RANGE) / RANGE;
			pixels[(nMels - 1 - m) * frames + t] = Math.round(
				255 * Math.min(1, Math.max(0, share || 0)),
			);
		}
	return indexedPng(pixels, frames, nMels, palette());
}
