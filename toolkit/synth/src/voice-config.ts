import { isId, WattvoxError } from "@wattvox/core";
import { z } from "zod";

const zSize = z
	.int()
	.min(1)
	.max(1 << 16);

/** `voice.json`: what the two graphs of a voice need to be used. */
export const zVoiceConfig = z
	.object({
		name: z.string().refine(isId, "not an id"),
		/** Hz. */
		sampleRate: z.int().min(8000).max(192_000),
		/** Samples per frame. */
		hop: zSize,
		/** Input symbols by index; 0 is padding. */
		symbols: z.array(z.string().min(1)).min(2),
		/** BCP 47 tag. */
		language: z.string().min(2),
		contentDim: zSize,
		speakerDim: zSize,
		noiseDim: zSize,
		/** Standard deviation of the noise that is fed. */
		noiseScale: z.number().min(0).max(10),
		/** Frames beyond each end of a chunk that its samples depend on. */
		halo: z.int().min(0).max(4096),
		/** Frames that one run of the decoder adds. */
		chunk: zSize,
		/** The speaker's embedding, `speakerDim` numbers. */
		speaker: z.array(z.number()),
		/** A LoRA adapter to merge into both graphs. */
		adapter: z
			.object({
				/** Name of the safetensors file. */
				file: z.string().min(1),
				r: z.int().min(1),
				alpha: z.number(),
				/** Factor of B A; alpha / r, or alpha / sqrt r for rsLoRA. */
				scale: z.number(),
			})
			.optional(),
	})
	.refine((v) => v.speaker.length === v.speakerDim, {
		message: "speaker has not speakerDim numbers",
	})
	.refine((v) => new Set(v.symbols).size === v.symbols.length, {
		message: "a symbol occurs twice",
	});

export type VoiceConfig = z.infer<typeof zVoiceConfig>;

/**
 * Parses `voice.json`.
 * @throws WattvoxError E_FILE_FORMAT
 */
export function parseVoiceConfig(bytes: Uint8Array): VoiceConfig {
	return parseJson(bytes, zVoiceConfig, "voice.json");
}

/**
 * Parses a JSON file by its schema.
 * @throws WattvoxError E_FILE_FORMAT naming the file and what is wrong in it
 */
export function parseJson<T>(
	bytes: Uint8Array,
	schema: z.ZodType<T>,
	what: string,
): T {
	let value: unknown;
	try {
		value = JSON.parse(new TextDecoder().decode(bytes));
	} catch (cause) {
		throw new WattvoxError("E_FILE_FORMAT", `${what} is not JSON`, { cause });
	}
	const parsed = schema.safeParse(value);
	if (parsed.success) return parsed.data;
	throw new WattvoxError(
		"E_FILE_FORMAT",
		`${what} is not valid: ${z.prettifyError(parsed.error)}`,
	);
}
