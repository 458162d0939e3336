import { WattvoxError } from "@wattvox/core";
import { noiseRow } from "./noise.ts";

/** Longest a phone may last, frames: 5 s at 80 frames a second. Beyond it the model is broken. */
const LONGEST = 400;

/**
 * Frames of each phone: max(1, round((exp(l) - 1) / speed)), l = `log_duration` = ln(frames + 1).
 * @param speed 2 is twice as fast
 * @throws WattvoxError E_MODEL when a duration is not a number
 */
export function durations(
	logDuration: Float32Array,
	speed: number,
): Int32Array {
	return Int32Array.from(logDuration, (l, i) => {
		const frames = Math.round((Math.exp(l) - 1) / speed);
		if (Number.isNaN(frames))
			throw new WattvoxError(
				"E_MODEL",
				`the duration of phone ${i} is not a number`,
			);
		return Math.min(LONGEST, Math.max(1, frames));
	});
}

/** What the decoder is fed for a run of frames, row-major. */
export interface Window {
	/** [frames, contentDim] */
	content: Float32Array;
	/** [frames, 3] */
	position: Float32Array;
	/** [frames, noiseDim] */
	noise: Float32Array;
}

export interface RegulatorOptions {
	/** [phones, contentDim], row-major. */
	content: Float32Array;
	contentDim: number;
	/** Frames per phone. */
	frames: Int32Array;
	noiseDim: number;
	noiseScale: number;
	/** 32-bit. */
	seed: number;
}

/**
 * Length regulation: each phone's content row repeated for its frames, with where in its phone each
 * frame lies. Rows outside the utterance are zero, so any window may be asked for: a chunk with its
 * halo, or all at once. The whole matrix is never made.
 */
export class Regulator {
	readonly #options: RegulatorOptions;
	/** Phone of each frame. */
	readonly #phone: Int32Array;
	/** First frame of each phone. */
	readonly #start: Int32Array;

	constructor(options: RegulatorOptions) {
		this.#options = options;
		const { frames } = options;
		this.#start = new Int32Array(frames.length);
		this.#phone = new Int32Array(frames.reduce((sum, d) => sum + d, 0));
		let at = 0;
		for (const [i, d] of frames.entries()) {
			this.#start[i] = at;
			this.#phone.fill(i, at, at + d);
			at += d;
		}
	}

	/** Frames of the utterance. */
	get length(): number {
		return this.#phone.length;
	}

	/**
	 * Rows `from` to `from + count`; both may lie outside the utterance.
	 * Position of frame i of a phone of d frames: a = (i + 0.5) / d, 1 - a, ln(d + 1).
	 */
	window(from: number, count: number): Window {
		const { content, contentDim, frames, noiseDim, noiseScale, seed } =
			this.#options;
		const out: Window = {
			content: new Float32Array(count * contentDim),
			position: new Float32Array(count * 3),
			noise: new Float32Array(count * noiseDim),
		};
		for (let i = 0; i < count; i++) {
			const frame = from + i;
			const phone = this.#phone[frame];
			if (phone === undefined) continue;
			const d = frames[phone] ?? 1;
			const a = (frame - (this.#start[phone] ?? 0) + 0.5) / d;
			out.content.set(
				content.subarray(phone * contentDim, (phone + 1) * contentDim),
				i * contentDim,
			);
			out.position.set([a, 1 - a, Math.log(d + 1)], i * 3);
			if (noiseScale > 0)
				noiseRow(
					seed,
					frame,
					noiseScale,
					out.noise.subarray(i * noiseDim, (i + 1) * noiseDim),
				);
		}
		return out;
	}
}
