import {
	canonicalBytes,
	type PrivateKey,
	parseCanonical,
	sha256,
	signBytes,
	type Trust,
	verifyBytes,
	zDigest,
	zInstant,
	zSignature,
} from "@wattvox/bundle";
import { WattvoxError } from "@wattvox/core";
import type { EngineKey, TensorRtFacts } from "@wattvox/runtime/tensorrt";
import { z } from "zod";

const zText = z.string().min(1).max(200);
const zDims = z.array(z.int().min(0)).max(16);
const zRange = z.strictObject({ min: zDims, opt: zDims, max: zDims });

const zStatement = z.strictObject({
	format: z.literal("wattvox-engine/1"),
	/** All that the engine depends on: for which model, on which machine, with what. */
	key: z.strictObject({
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
	}),
	/** Of the engine's bytes. */
	sha256: zDigest,
	size: z.int().min(1),
	created: zInstant,
});

const zEnvelope = z.strictObject({
	v: z.literal(1),
	/** Canonical JSON of the statement. */
	signed: z.string().max(32_768),
	signature: zSignature,
});

/** The most that the head of a pack may have, bytes. */
const HEAD_MAX_BYTES = 65_536;
const LINE_END = 0x0a;

/** An engine that somebody vouches for. */
export interface OpenedPack {
	key: EngineKey;
	/** TensorRT's bytes. */
	plan: Uint8Array;
	/** Id of the builder key that signed it. */
	signer: string;
	created: string;
}

/**
 * An engine as a file for other devices of its class: one line of JSON, signed for the purpose "engine",
 * then the engine's bytes.
 */
export function packEngine(
	key: EngineKey,
	plan: Uint8Array,
	by: PrivateKey,
	created: Date = new Date(),
): [head: Uint8Array, plan: Uint8Array] {
	const body = canonicalBytes({
		format: "wattvox-engine/1",
		key,
		sha256: sha256(plan),
		size: plan.length,
		created: created.toISOString(),
	});
	const head = canonicalBytes({
		v: 1,
		signed: body.toString("utf8"),
		signature: signBytes("engine", body, by),
	});
	return [Buffer.concat([head, Buffer.of(LINE_END)]), plan];
}

/**
 * Reads such a file. The signature is verified before the statement is parsed, the bytes are held to it,
 * and nothing of the engine itself is looked at.
 * @param trust whose builder keys count
 * @throws WattvoxError E_FILE_FORMAT (no such file), E_SIGNATURE (unsigned, another key, another purpose),
 *   E_TAMPERED (other bytes than were signed)
 */
export function openPack(bytes: Uint8Array, trust: Trust): OpenedPack {
	const end = bytes.subarray(0, HEAD_MAX_BYTES).indexOf(LINE_END);
	const { signed, signature } = envelope(bytes.subarray(0, Math.max(0, end)));
	const body = Buffer.from(signed, "utf8");
	const signer = verifyBytes("engine", body, signature, trust);
	const parsed = zStatement.safeParse(
		parseCanonical(body, "the engine's head"),
	);
	if (!parsed.success)
		throw new WattvoxError(
			"E_FILE_FORMAT",
			`the engine's head is not valid: ${z.prettifyError(parsed.error)}`,
		);
	const { key, size, created } = parsed.data;
	const plan = bytes.subarray(end + 1);
	if (plan.length !== size || sha256(plan) !== parsed.data.sha256)
		throw new WattvoxError(
			"E_TAMPERED",
			"the engine is not the one that was signed",
		);
	return { key, plan, signer, created };
}

/** What an engine depends on that the machine brings. */
const MACHINE = [
	"tensorrt",
	"cuda",
	"cudaDriver",
	"computeCapability",
	"device",
	"multiprocessors",
	"l4t",
	"module",
] as const satisfies readonly (keyof EngineKey & keyof TensorRtFacts)[];

/**
 * Refuses an engine for another class of device.
 * @throws WattvoxError E_ENGINE_LOAD naming all that differs
 */
export function requireClass(key: EngineKey, facts: TensorRtFacts): void {
	const other = MACHINE.filter((name) => key[name] !== facts[name]);
	if (other.length > 0)
		throw new WattvoxError(
			"E_ENGINE_LOAD",
			`the engine was built for another class of device: ${other
				.map((name) => `${name} ${key[name]}, here ${facts[name]}`)
				.join("; ")}`,
		);
}

function envelope(head: Uint8Array): z.infer<typeof zEnvelope> {
	try {
		return zEnvelope.parse(JSON.parse(Buffer.from(head).toString("utf8")));
	} catch (cause) {
		throw new WattvoxError(
			"E_FILE_FORMAT",
			"this is no signed engine: it has no readable head",
			{ cause },
		);
	}
}
