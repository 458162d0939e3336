import { type EngineHead, sha256 } from "@wattvox/bundle";
import type { VoiceFiles } from "@wattvox/synth";
import { decoderModel } from "@wattvox/synth/tensorrt";

/**
 * Tells whether a device of an engine's class would take it for a voice: it is the refittable one of the
 * voice's base, or the voice's own. Nothing of the engine is opened.
 * @returns throws WattvoxError E_TENSORRT_OP: the voice is none for the TensorRT that the engine was built with
 */
export function servesVoice(
	files: VoiceFiles,
): (key: EngineHead["key"]) => Promise<boolean> {
	const models = new Map<string, Promise<{ base: string; merged: string }>>();
	const hashes = async (tensorrt: string) => {
		const { base, merged } = await decoderModel(files, tensorrt);
		return { base: sha256(base), merged: sha256(merged) };
	};
	return async ({ tensorrt, onnx, refit }) => {
		const known = models.get(tensorrt) ?? hashes(tensorrt);
		models.set(tensorrt, known);
		const { base, merged } = await known;
		return onnx === (refit ? base : merged);
	};
}
