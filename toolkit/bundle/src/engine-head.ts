import { WattvoxError } from "@wattvox/core";
import { z } from "zod";
import { canonicalBytes, parseCanonical } from "./canonical.ts";
import type { FileHashes } from "./hash.ts";
import type { PrivateKey, Trust } from "./keys.ts";
import { blockCount, sha256, zDigest, zId, zInstant } from "./names.ts";
import { signBytes, verifyBytes, zSignature } from "./signature.ts";

/** The most that an engine may have, bytes. */
export const ENGINE_MAX_BYTES: number = 2 ** 30;
/** The most that its head may have, bytes: 16,384 blocks are listed in some 1.2 MB. */
export const ENGINE_HEAD_MAX_BYTES: number = 2 * 2 ** 20;

const zText = z.string().min(1).max(200);
const zDims = z.array(z.int().min(0)).max(16);
const zRange = z.strictObject({ min: zDims, opt: zDims, max: zDims });

const zKey = z.strictObject({
	recipe: z.literal(1),
	onnx: zDigest,
	tensorrt: zText,
	cuda: zText,
	cudaDriver: zText,
	computeCapability: zText,
	device: zText,
	multiprocessors: z.int().min(1),
	l4t: zText.nullable(),
	module: zText.nullable(),
	precision: z.enum(["fp32", "fp16", "bf16"]),
	refit: z.boolean(),
	workspaceBytes: z.int().min(0),
	level: z.int().min(0).max(5).nullable(),
	profiles: z.array(z.record(zText, zRange)).max(16),
});

const zStatement = z
	.strictObject({
		format: z.literal("wattvox-engine/1"),
		/** All that the engine depends on: for which model, on which machine, with what. */
		key: zKey,
		/** The class of the device that built it; absent: nobody said. */
		deviceClass: zId.optional(),
		/** Of the engine's bytes. */
		sha256: zDigest,
		size: z.int().min(1).max(ENGINE_MAX_BYTES),
		/** Of every 64 KiB of them, in order. */
		blocks: z.array(zDigest),
		created: zInstant,
	})
	.refine((s) => s.blocks.length === blockCount(s.size), "blocks and size");

const zEnvelope = z.strictObject({
	v: z.literal(1),
	/** Canonical JSON of the statement. */
	signed: z.string(),
	signature: zSignature,
});

/** What somebody vouches for: an engine's key and its bytes' hashes. */
export interface EngineHead extends FileHashes {
	/** Of the engine: {@link engineName} of its key. */
	name: string;
	key: z.infer<typeof zKey>;
	deviceClass?: string;
	created: string;
	/** Id of the builder key that signed it. */
	signer: string;
}

/** An engine's name: SHA-256 of its key as canonical JSON, hex. */
export function engineName(key: object): string {
	return sha256(canonicalBytes(key));
}

/**
 * Signs an engine for other devices of its class.
 * @param key as `EngineKey` of @wattvox/runtime
 * @returns the head, one line of JSON without its end
 * @throws WattvoxError E_USAGE: larger than an engine may be, or not such a key
 */
export function signEngine(
	key: object,
	{ sha256, size, blocks }: FileHashes,
	by: PrivateKey,
	more: { created?: Date; deviceClass?: string | undefined } = {},
): Buffer {
	const { created = new Date(), deviceClass } = more;
	const statement = zStatement.safeParse({
		format: "wattvox-engine/1",
		key,
		...{ sha256, size, blocks },
		...(deviceClass !== undefined && { deviceClass }),
		created: created.toISOString(),
	});
	if (!statement.success)
		throw new WattvoxError(
			"E_USAGE",
			`this engine cannot be signed: ${z.prettifyError(statement.error)}`,
		);
	const body = canonicalBytes(statement.data);
	return canonicalBytes({
		v: 1,
		signed: body.toString("utf8"),
		signature: signBytes("engine", body, by),
	});
}

/**
 * Reads a head. The signature is verified before the statement is parsed.
 * @param trust whose builder keys count
 * @throws WattvoxError E_FILE_FORMAT (no head), E_SIGNATURE (unsigned, another key, another purpose)
 */
export function readEngineHead(bytes: Uint8Array, trust: Trust): EngineHead {
	const { signed, signature } = envelope(bytes);
	const body = Buffer.from(signed, "utf8");
	const signer = verifyBytes("engine", body, signature, trust);
	return { ...statement(body), signer };
}

/**
 * What a head says that was verified when it was put where it lies.
 * @throws WattvoxError E_FILE_FORMAT
 */
export function peekEngineHead(bytes: Uint8Array): EngineHead {
	const { signed, signature } = envelope(bytes);
	return { ...statement(Buffer.from(signed, "utf8")), signer: signature.key };
}

function statement(body: Buffer): Omit<EngineHead, "signer"> {
	const parsed = zStatement.safeParse(
		parseCanonical(body, "the engine's head"),
	);
	if (!parsed.success)
		throw new WattvoxError(
			"E_FILE_FORMAT",
			`the engine's head is not valid: ${z.prettifyError(parsed.error)}`,
		);
	const { format: _, deviceClass, ...rest } = parsed.data;
	return {
		...rest,
		name: engineName(rest.key),
		...(deviceClass !== undefined && { deviceClass }),
	};
}

function envelope(head: Uint8Array): z.infer<typeof zEnvelope> {
	try {
		if (head.byteLength > ENGINE_HEAD_MAX_BYTES) throw new Error("too long");
		return zEnvelope.parse(JSON.parse(Buffer.from(head).toString("utf8")));
	} catch (cause) {
		throw new WattvoxError(
			"E_FILE_FORMAT",
			"this is no signed engine: it has no readable head",
			{ cause },
		);
	}
}
