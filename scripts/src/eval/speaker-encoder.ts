import { melCepstra } from "@wattvox/cloud-trainer";
import { WattvoxError } from "@wattvox/core";
import { createEngine, tensor } from "@wattvox/runtime";
import { BASE_MEL } from "@wattvox/speech";

/** Who speaks, as a vector. */
export interface SpeakerEncoder {
	/**
	 * @param mel natural-log mel features, row-major [frames, 80]
	 * @returns [192] from a model
	 */
	embed(mel: Float32Array): Promise<Float32Array>;
	dispose(): Promise<void>;
}

/** Name of the yardstick in place of a model file. */
export const SPECTRUM = "spectrum";

/**
 * Loads an encoder by what `--encoder` says: a model file, or "spectrum".
 *
 * @throws WattvoxError E_FILE_MISSING, E_MODEL
 */
export function openEncoder(what: string): Promise<SpeakerEncoder> {
	return what === SPECTRUM
		? Promise.resolve(spectrumEncoder)
		: loadSpeakerEncoder(what);
}

/**
 * A yardstick without training: mean and deviation of the mel-cepstra c1..c25
 * over speech frames. An encoder that separates voices no better has learnt
 * nothing about them but their average colour.
 */
export const spectrumEncoder: SpeakerEncoder = {
	async embed(mel) {
		const { data, frames, order } = melCepstra(mel, BASE_MEL.nMels);
		const out = new Float32Array(2 * order);
		for (let k = 0; k < order; k++) {
			let sum = 0;
			let squares = 0;
			for (let f = 0; f < frames; f++) {
				const x = data[f * order + k] ?? 0;
				sum += x;
				squares += x * x;
			}
			const mean = frames > 0 ? sum / frames : 0;
			out[k] = mean;
			out[order + k] =
				frames > 0 ? Math.sqrt(Math.max(0, squares / frames - mean * mean)) : 0;
		}
		return out;
	},
	dispose: () => Promise.resolve(),
};

/**
 * Loads a base's speaker.onnx: input `mel` [1, F, 80] -> output `embedding` [1, 192].
 *
 * @throws WattvoxError E_FILE_MISSING, E_MODEL
 */
export async function loadSpeakerEncoder(
	file: string,
): Promise<SpeakerEncoder> {
	const engine = await createEngine(file, { threads: 1 });
	return {
		async embed(mel) {
			const frames = mel.length / BASE_MEL.nMels;
			const { embedding } = await engine.run({
				mel: tensor(
					"float32",
					[1, frames, BASE_MEL.nMels],
					new Float32Array(mel),
				),
			});
			if (!(embedding?.data instanceof Float32Array))
				throw new WattvoxError(
					"E_MODEL",
					`${file} has no float32 output "embedding"`,
				);
			return embedding.data;
		},
		dispose: () => engine.dispose(),
	};
}
