import { sha256 } from "@wattvox/bundle";
import type { VoiceFiles } from "@wattvox/synth";
import { decoderModel } from "@wattvox/synth/tensorrt";
import type { OpenedPack } from "./pack.ts";

/**
 * Whether a device of the engine's class would take it for a voice: it is the refittable one of the voice's
 * base, or the voice's own. Nothing of the engine is opened.
 * @throws WattvoxError E_TENSORRT_OP: the voice is none for the TensorRT that the engine was built with
 */
export async function packServes(
	{ key }: Pick<OpenedPack, "key">,
	files: VoiceFiles,
): Promise<boolean> {
	const { base, merged } = await decoderModel(files, key.tensorrt);
	return key.onnx === sha256(key.refit ? base : merged);
}
