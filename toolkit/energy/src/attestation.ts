import { WattvoxError } from "@wattvox/core";
import { z } from "zod";
import { SourceDescriptionSchema } from "./source.ts";
import type { SpeechMeasurement } from "./workload.ts";

const Figure = z.strictObject({
	value: z.number(),
	/** Half-width of the 95 % interval; null: too little to tell. */
	plusMinus: z.number().nonnegative().nullable(),
});

/**
 * What a device measured of a voice after it was made: joules per second of speech from the fixed
 * workload. It is a document of its own, signed by the device's or the fleet's key and bound to the
 * bundle by its digest; the bundle's passport says what the voice cost to train.
 */
export const AttestationSchema = z.strictObject({
	format: z.literal("wattvox-attestation/1"),
	/** Digest of the bundle that spoke. */
	bundle: z.string().regex(/^[0-9a-f]{64}$/),
	/** Which kind of machine: figures of one class compare. */
	deviceClass: z.string().regex(/^[A-Za-z0-9_-]{1,64}$/),
	/** The one machine, where it is named. */
	device: z
		.string()
		.regex(/^[A-Za-z0-9_-]{1,64}$/)
		.nullable(),
	made: z.iso.datetime(),
	/** Which sentences: figures of different workloads do not compare. */
	workload: z.literal("ieee-1969-list-1"),
	/** What computed it: "onnxruntime cpu, 1 thread". */
	runtime: z.string().min(1).max(200),
	/** Joules per second of audio; null where the sensor did not cover the run. */
	joulesPerAudioSecond: z
		.strictObject({
			/** All power at a duty cycle of 100 %. */
			gross: Figure,
			/** Above the resting machine. */
			marginal: Figure,
		})
		.nullable(),
	realTimeFactor: Figure,
	idleWatts: Figure.nullable(),
	busyWatts: Figure.nullable(),
	utterances: z.int().positive(),
	audioSeconds: z.number().positive(),
	/** Seconds the workload ran. */
	seconds: z.number().positive(),
	/** Full sentences on the method. */
	method: z.string().min(1),
	source: SourceDescriptionSchema,
	/** False: an estimate, which no gate and no ranking may use. */
	measured: z.boolean(),
	/** "MAXN_SUPER"; null: the machine has none or does not say. */
	powerMode: z.string().nullable(),
	/** The hottest zone before and after the run, degrees Celsius; null: unknown. */
	temperatureC: z
		.strictObject({ before: z.number(), after: z.number() })
		.nullable(),
});
export type Attestation = z.infer<typeof AttestationSchema>;

/** What an attestation says beside the measurement itself. */
export type AttestationAbout = Pick<
	Attestation,
	"bundle" | "deviceClass" | "device" | "runtime" | "powerMode" | "temperatureC"
> & { made?: Date };

/** The attestation of a measurement. */
export function makeAttestation(
	found: SpeechMeasurement,
	{ made = new Date(), ...about }: AttestationAbout,
): Attestation {
	return AttestationSchema.parse({
		format: "wattvox-attestation/1",
		...about,
		made: made.toISOString(),
		workload: "ieee-1969-list-1",
		...found,
	});
}

/**
 * Reads the signed part of an attestation; whether to believe it is the signature's to say.
 * @throws WattvoxError E_FILE_FORMAT
 */
export function parseAttestation(value: unknown): Attestation {
	const parsed = AttestationSchema.safeParse(value);
	if (parsed.success) return parsed.data;
	throw new WattvoxError(
		"E_FILE_FORMAT",
		`attestation: ${z.prettifyError(parsed.error)}`,
	);
}

/**
 * A name for a kind of machine from its own description: the board's model where there is one, else
 * the processor's.
 */
export function deviceClassOf(
	model: string | null,
	processor: string | undefined,
): string {
	const slug = (model || processor || "unknown")
		.replace(/\((R|TM)\)/gi, "")
		.replace(/@.*$/, "")
		.toLowerCase()
		.replace(/[^a-z0-9]+/g, "-")
		.replace(/^-+|-+$/g, "")
		.slice(0, 64);
	return slug || "unknown";
}
