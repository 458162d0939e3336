import { WattvoxError } from "@wattvox/core";
import { createEngine, tensor } from "@wattvox/runtime";
import { BASE_MEL } from "@wattvox/speech";

/** Who speaks, as a vector. */
export interface SpeakerEncoder {
	/**
	 * @param mel natural-log mel features, row-major [frames, 80]
	 * @returns [192]
	 */
	embed(mel: Float32Array): Promise<Float32Array>;
	dispose(): Promise<void>;
}

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
