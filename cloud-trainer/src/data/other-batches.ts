import { AUDIO } from "@wattvox/models";
import { floats, int64s, type Tensor } from "@wattvox/onnx";
import type { Example } from "./features.ts";
import type { StepRandom } from "./random.ts";

const { nMels, hop } = AUDIO;

/** A crop of log-mel [frames, nMels], the floor's value past the end. */
function cropMel(e: Example, from: number, frames: number): Float32Array {
	const out = new Float32Array(frames * nMels).fill(Math.log(1e-5));
	out.set(
		e.mel.subarray(from * nMels, Math.min(e.frames, from + frames) * nMels),
	);
	return out;
}

const cropStart = (e: Example, frames: number, random: StepRandom): number =>
	e.frames > frames ? random.int(e.frames - frames + 1) : 0;

/** Feeds of the vocoder: mel [B, frames, 80] and wave [B, frames hop] of random crops. */
export function vocoderBatch(
	examples: readonly Example[],
	size: number,
	frames: number,
	random: StepRandom,
): Record<string, Tensor> {
	const mel = new Float32Array(size * frames * nMels);
	const wave = new Float32Array(size * frames * hop);
	for (let b = 0; b < size; b++) {
		const e = random.pick(examples);
		const from = cropStart(e, frames, random);
		mel.set(cropMel(e, from, frames), b * frames * nMels);
		const pcm = e.wave.subarray(from * hop, (from + frames) * hop);
		for (let i = 0; i < pcm.length; i++)
			wave[b * frames * hop + i] = (pcm[i] ?? 0) / 32768;
	}
	return {
		mel: floats(mel, [size, frames, nMels]),
		wave: floats(wave, [size, frames * hop]),
	};
}

/** Feeds of the speaker encoder: crops of 1 to 2.5 s, one length per batch, and one-hot speakers. */
export function speakerBatch(
	bySpeaker: readonly (readonly Example[])[],
	size: number,
	random: StepRandom,
): Record<string, Tensor> {
	const frames = 80 + 20 * random.int(7);
	const mel = new Float32Array(size * frames * nMels);
	const hot = new Float32Array(size * bySpeaker.length);
	for (let b = 0; b < size; b++) {
		const s = random.int(bySpeaker.length);
		const e = random.pick(bySpeaker[s] as readonly Example[]);
		// A level change of some decibels and a gentle tilt say nothing of who speaks.
		const gain = 0.3 * random.normal();
		const tilt = 0.15 * random.normal();
		const crop = cropMel(e, cropStart(e, frames, random), frames);
		for (let i = 0; i < crop.length; i++)
			crop[i] = (crop[i] ?? 0) + gain + tilt * ((i % nMels) / nMels - 0.5);
		mel.set(crop, b * frames * nMels);
		hot[b * bySpeaker.length + s] = 1;
	}
	return {
		mel: floats(mel, [size, frames, nMels]),
		hot: floats(hot, [size, bySpeaker.length]),
	};
}

/** Feeds of the aligner: whole segments of up to `frames` with the phone of each frame. */
export function alignerBatch(
	examples: readonly Example[],
	size: number,
	frames: number,
	random: StepRandom,
): Record<string, Tensor> {
	const mel = new Float32Array(size * frames * nMels);
	const mask = new Float32Array(size * frames);
	const labels = new BigInt64Array(size * frames);
	for (let b = 0; b < size; b++) {
		const e = random.pick(examples);
		const from = cropStart(e, frames, random);
		const crop = cropMel(e, from, frames);
		for (let i = 0; i < crop.length; i++)
			crop[i] = (crop[i] ?? 0) + 0.1 * random.normal();
		mel.set(crop, b * frames * nMels);
		const count = Math.min(frames, e.frames);
		mask.fill(1, b * frames, b * frames + count);
		let frame = 0;
		e.durations.forEach((d, t) => {
			for (let i = 0; i < d; i++, frame++) {
				const row = frame - from;
				if (row >= 0 && row < frames)
					labels[b * frames + row] = BigInt(e.phones[t] ?? 0);
			}
		});
	}
	return {
		mel: floats(mel, [size, frames, nMels]),
		mask: floats(mask, [size, frames, 1]),
		labels: int64s(labels, [size, frames]),
	};
}

/** Feeds of one whole utterance for an encoder that stands alone. */
export const wholeMel = (e: { mel: Float32Array; frames: number }): Tensor =>
	floats(Float32Array.from(e.mel), [1, e.frames, nMels]);
