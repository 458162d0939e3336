import { zDigest, zId, zInstant } from "@wattvox/bundle";
import { WattvoxError } from "@wattvox/core";
import { z } from "zod";

/**
 * The messages on each topic, parsed here and trusted inside. Objects are open: a field that a
 * newer sender adds is dropped, not refused. Everything signed is strict instead.
 */

/** Retained, QoS 1; also the will. A late will must not hide a newer session: compare `session`. */
export const zPresence = z.object({
	v: z.literal(1),
	online: z.boolean(),
	/** Rises with every connection of the device. */
	session: z.int().min(0),
});
export type Presence = z.infer<typeof zPresence>;

/** What a device is to run: the signed part of a desired-state message. */
export const zDesired = z.strictObject({
	v: z.literal(1),
	fleet: zId,
	device: zId,
	/** Digest of the bundle. */
	bundle: zDigest,
	/** The store to ask for it. */
	store: zId,
	/** Only ever rises, undoing included. */
	revision: z.int().min(1),
	/** When it was signed: a device without a clock knows that it is not earlier. */
	at: zInstant,
	/** From when on it brings no update any more. Absent: never. */
	expires: zInstant.optional(),
	/** What this bundle may draw on the device, in place of the device's own limits. */
	limits: z
		.strictObject({
			/** Gross joules per second of speech, over the last good voice's. */
			joulesRatio: z.number().positive().optional(),
			/** Gross joules per second of speech. */
			joulesPerSecond: z.number().positive().optional(),
		})
		.optional(),
});
export type Desired = z.infer<typeof zDesired>;

const zFigure = z.object({
	value: z.number(),
	/** Half-width of the 95 % interval; null: too little to tell. */
	plusMinus: z.number().min(0).nullable(),
});

/** Joules per second of speech of a voice on a device, as `SpeechFigure` of the energy package has it. */
export const zSpeechFigure = z.object({
	/** All power while speaking back to back. */
	gross: zFigure,
	/** Above the resting device. */
	marginal: zFigure,
	/** Seconds of computing per second of speech. */
	pace: zFigure,
	sensor: z.string().min(1).max(64),
	/** What computed it. */
	runtime: z.string().min(1).max(200),
	/** Null: unknown. */
	powerMode: z.string().max(64).nullable(),
	/** A band of the hottest zone; null: unknown. */
	temperature: z.string().max(64).nullable(),
	at: zInstant,
});

/** What a board says of itself; null is unknown. */
export const zBoard = z.object({
	/** "NVIDIA Jetson Orin Nano Developer Kit". */
	model: z.string().max(200).nullable(),
	/** NVIDIA's Linux release: "36.4.3". */
	l4t: z.string().max(64).nullable(),
	/** Version of NVIDIA's TensorRT: "10.3.0". */
	tensorrt: z.string().max(64).nullable(),
	powerMode: z.string().max(64).nullable(),
	/** Degrees Celsius by zone. */
	temperatures: z.record(z.string().max(64), z.number()),
	/** 0..1. */
	gpuLoad: z.number().min(0).max(1).nullable(),
	/** When it was looked at. */
	at: zInstant,
});

/** Retained, QoS 1: what the device runs, and why if that is not what is desired. */
export const zReported = z.object({
	v: z.literal(1),
	/** The bundle it speaks with; null when it has none yet. */
	bundle: zDigest.nullable(),
	/** The revision it last acted on; null when none ever came. */
	revision: z.int().min(1).nullable(),
	state: z.enum(["idle", "pulling", "checking", "active", "failed"]),
	/** What kind of device it is: figures are compared within a kind. */
	deviceClass: zId.optional(),
	/** Whether a sensor gives its joules. Absent: it does not say. */
	measured: z.boolean().optional(),
	/** What the board says of itself; absent: nothing. */
	board: zBoard.optional(),
	/** What computes its speech, and why that is not the engine that it should have. */
	runtime: z
		.object({
			name: z.enum(["onnxruntime", "tensorrt"]),
			reason: z.object({ code: z.string(), message: z.string() }).optional(),
		})
		.optional(),
	/**
	 * What came of holding the bundle that speaks to its joules per second of speech; absent: not measured
	 * yet, or it does not say.
	 */
	joules: z
		.object({
			verdict: z.enum(["passed", "failed", "not-measured", "not-compared"]),
			why: z.string(),
			figure: zSpeechFigure.optional(),
		})
		.optional(),
	/** Why it does not run what is desired. */
	reason: z.object({ code: z.string(), message: z.string() }).optional(),
	/** Of a pull under way, bytes. */
	progress: z
		.object({ done: z.int().min(0), total: z.int().min(0) })
		.optional(),
	at: zInstant,
});
export type Reported = z.infer<typeof zReported>;

const zPullKind = z.enum(["manifest", "engine", "blob"]);

/**
 * Device -> store, QoS 0: blocks wanted. The device never has more than its credit window asked for
 * and unanswered, so the store needs no state of its own per device.
 */
export const zPull = z.object({
	v: z.literal(1),
	/** The store that is asked; every other one stays silent. */
	store: zId,
	/** Correlation: comes back in each answer. */
	id: zId,
	/**
	 * `manifest`: digest is a bundle's, blocks are 64 KiB parts of its manifest. `engine`: digest is an
	 * engine's name, blocks are parts of its head. `blob`: digest is a file's, or an engine's bytes'.
	 */
	kind: zPullKind,
	digest: zDigest,
	blocks: z.array(z.int().min(0)).min(1).max(256),
});
export type Pull = z.infer<typeof zPull>;

/** Store -> device, QoS 0: the header before the raw bytes of a block. */
export const zBlockHeader = z.object({
	v: z.literal(1),
	id: zId,
	kind: zPullKind,
	digest: zDigest,
	index: z.int().min(0),
	/** manifest, engine: the whole size of the manifest or of the head, bytes. */
	size: z.int().min(1).optional(),
	/** manifest: the contents of manifest.sig. */
	signature: z.string().max(4096).optional(),
	/** No bytes follow: the store does not hold this, or cannot answer now. */
	error: z.enum(["unknown", "busy", "failed"]).optional(),
});
export type BlockHeader = z.infer<typeof zBlockHeader>;

/** Build station -> store, QoS 1: an engine that it has for its siblings. The store asks for it, or says why not. */
export const zOffer = z.object({
	v: z.literal(1),
	/** The store that is meant; every other one stays silent. */
	store: zId,
	/** The engine's name. */
	engine: zDigest,
});
export type Offer = z.infer<typeof zOffer>;

/** Store -> build station, QoS 1: what became of an offer. */
export const zVerdict = z.object({
	v: z.literal(1),
	store: zId,
	engine: zDigest,
	/** Whether the store holds the engine now, as it was offered. */
	held: z.boolean(),
	/** Why not. */
	reason: z.object({ code: z.string(), message: z.string() }).optional(),
});
export type Verdict = z.infer<typeof zVerdict>;

const zCount = z.int().min(0);
const zSeconds = z.number().min(0);

/**
 * Power and work of a device, QoS 1. Every amount is cumulative since `boot` began, so a message
 * that is lost, doubled or late changes no total.
 */
export const zPowerMessage = z.object({
	v: z.literal(1),
	device: zId,
	/**
	 * Identifies one run of the counters: a new one whenever they start again from zero. They do when
	 * the agent starts and when another voice speaks, so every joule of a boot is one voice's.
	 */
	boot: zId,
	/** Rises by one with every message of a boot, from 0. */
	sequence: zCount,
	/** Energy since the boot began; null where nobody knows, which is never 0. */
	millijoules: z.number().min(0).nullable(),
	/** The part of it drawn while at least one utterance was being made. */
	speechMillijoules: z.number().min(0).nullable().optional(),
	/** False: an estimate. */
	measured: z.boolean(),
	/** What measured it: "ina3221", "rapl", "nvml", "estimate". */
	sensor: z.string().min(1).max(64),
	utterances: zCount,
	/** Seconds of speech made. */
	audioSeconds: zSeconds,
	/** Seconds spent making it. */
	computeSeconds: zSeconds,
	/** Digest of the bundle it speaks with; null when it has none. */
	voice: zDigest.nullable(),
	/** As in {@link zReported}. */
	deviceClass: zId.optional(),
	/** When the counters were read. */
	at: zInstant,
});
export type PowerMessage = z.infer<typeof zPowerMessage>;

/**
 * One utterance. `boot` and `n` name it: it may come more than once. What all of them cost is in
 * {@link zPowerMessage}, which loses nothing; these say how it was spread, and the oldest may be missing.
 */
export const zUtterance = z.object({
	/** The run of counters in whose totals it is. */
	boot: zId,
	/** Rises by one with every utterance of a boot, from 0. */
	n: zCount,
	/** When it ended. */
	at: zInstant,
	/** Digest of the bundle that spoke. */
	voice: zDigest.nullable(),
	/** False: broken off, by its listener or by an error. */
	whole: z.boolean(),
	/** Of speech made. */
	audioSeconds: zSeconds,
	/** From the request's turn to the last sample. */
	computeSeconds: zSeconds,
	/** From the request's turn to the first sample. */
	firstSoundMs: z.number().min(0).nullable(),
	/** Its share of the boot's `speechMillijoules`; null is unknown, never 0. */
	millijoules: z.number().min(0).nullable(),
	/** False: an estimate. */
	measured: z.boolean(),
	sensor: z.string().min(1).max(64),
});
export type UtteranceRecord = z.infer<typeof zUtterance>;

/** What a device's backlog had to give up; each count only rises while `log` is the same. */
export const zLost = z.object({
	/** Utterances: their detail is gone, what they cost is not. */
	utterances: zCount,
	/** Power readings between others of the same boot: no total misses them. */
	readings: zCount,
	/** Last readings of a boot: what it drew since the reading before is missing from all totals. */
	boots: zCount,
	/** What could not be read back, as after a power cut in the middle of writing it. */
	damaged: zCount,
});
export type Lost = z.infer<typeof zLost>;

/** Utterances of a device, QoS 1, oldest first. */
export const zUtterancesMessage = z.object({
	v: z.literal(1),
	device: zId,
	deviceClass: zId.optional(),
	/** Identifies the backlog that `lost` counts for. */
	log: zId,
	lost: zLost,
	records: z.array(zUtterance).max(100),
});
export type UtterancesMessage = z.infer<typeof zUtterancesMessage>;

/** The most that a JSON message may have, bytes. */
export const MESSAGE_MAX_BYTES = 65_536;

/** A message as bytes. */
export function encode(message: object): Buffer {
	return Buffer.from(JSON.stringify(message), "utf8");
}

/**
 * Parses a message at the edge.
 * @returns undefined when it is not one, which whoever listens should count and ignore: anybody may
 * be at the other end of a topic
 */
export function decode<T>(
	schema: z.ZodType<T>,
	payload: Uint8Array,
): T | undefined {
	if (payload.byteLength > MESSAGE_MAX_BYTES) return undefined;
	try {
		const { buffer, byteOffset, byteLength } = payload;
		const text = Buffer.from(buffer, byteOffset, byteLength).toString("utf8");
		const parsed = schema.safeParse(JSON.parse(text));
		return parsed.success ? parsed.data : undefined;
	} catch {
		return undefined;
	}
}

/** `[header length, 2 bytes big-endian][header, JSON][raw bytes]`. */
export function encodeBlock(header: BlockHeader, bytes?: Uint8Array): Buffer {
	const json = encode(header);
	if (json.byteLength > 0xffff)
		throw new WattvoxError("E_BUG", "a block header is too long");
	const length = Buffer.allocUnsafe(2);
	length.writeUInt16BE(json.byteLength);
	return Buffer.concat(bytes ? [length, json, bytes] : [length, json]);
}

/** The header and the bytes of a block message; undefined when it is not one. */
export function decodeBlock(
	payload: Uint8Array,
): { header: BlockHeader; bytes: Uint8Array } | undefined {
	if (payload.byteLength < 2) return undefined;
	const end = 2 + (((payload[0] ?? 0) << 8) | (payload[1] ?? 0));
	if (payload.byteLength < end) return undefined;
	const header = decode(zBlockHeader, payload.subarray(2, end));
	return header && { header, bytes: payload.subarray(end) };
}
