import { type KeyObject, sign, verify } from "node:crypto";
import { WattvoxError } from "@wattvox/core";
import { z } from "zod";
import { canonicalBytes, parseCanonical } from "./canonical.ts";
import type { PrivateKey, Trust } from "./keys.ts";
import { zDigest } from "./names.ts";

/**
 * What a signature is for. The purpose is part of the signed bytes, so a signature made for one
 * kind of document is worth nothing on another.
 */
export type Purpose =
	| "manifest"
	| "desired"
	| "root"
	| "engine"
	| "attestation";

/** A detached Ed25519 signature: which key, and its 64 bytes in base64. */
export interface Signature {
	algorithm: "ed25519";
	/** Key id: SHA-256 of the raw 32-byte public key, hex. */
	key: string;
	signature: string;
}

/** Ceiling on the size of a signature file; a real one has about 210 bytes. */
export const SIGNATURE_MAX_BYTES = 4096;

export const zSignature = z.strictObject({
	algorithm: z.literal("ed25519"),
	key: zDigest,
	signature: z
		.string()
		// the 86th character has four bits that no byte uses: they are zero, or two texts were one signature
		.regex(/^[A-Za-z0-9+/]{85}[AQgw]==$/, "not 64 bytes in base64"),
});

/**
 * The bytes that are signed: DSSE's pre-authentication encoding,
 * "DSSEv1" SP LEN(type) SP type SP LEN(body) SP body
 * (https://github.com/secure-systems-lab/dsse/blob/master/protocol.md).
 */
function preAuthentication(purpose: Purpose, body: Uint8Array): Buffer {
	const type = `application/vnd.wattvox.${purpose}+json`;
	return Buffer.concat([
		Buffer.from(`DSSEv1 ${type.length} ${type} ${body.byteLength} `),
		body,
	]);
}

/** Signs `body` for one purpose. */
export function signBytes(
	purpose: Purpose,
	body: Uint8Array,
	key: PrivateKey,
): Signature {
	const bytes = sign(null, preAuthentication(purpose, body), key.key);
	return {
		algorithm: "ed25519",
		key: key.id,
		signature: bytes.toString("base64"),
	};
}

/** A signature as the bytes of a `.sig` file. */
export function signatureBytes(signature: Signature): Buffer {
	return canonicalBytes(signature);
}

/**
 * Parses the bytes of a `.sig` file.
 * @throws WattvoxError E_SIGNATURE
 */
export function parseSignature(bytes: Uint8Array): Signature {
	try {
		if (bytes.byteLength > SIGNATURE_MAX_BYTES) throw new Error("too long");
		return zSignature.parse(parseCanonical(bytes, "the signature"));
	} catch (cause) {
		throw new WattvoxError("E_SIGNATURE", "the signature cannot be read", {
			cause,
		});
	}
}

/** Whether `signature` over `body` was made by `key`. */
export function signatureHolds(
	purpose: Purpose,
	body: Uint8Array,
	signature: Signature,
	key: KeyObject,
): boolean {
	return verify(
		null,
		preAuthentication(purpose, body),
		key,
		Buffer.from(signature.signature, "base64"),
	);
}

/**
 * Verifies `body` before anything in it is parsed.
 * @returns the id of the key that signed it
 * @throws WattvoxError E_SIGNATURE: unknown key, or not what that key signed
 */
export function verifyBytes(
	purpose: Purpose,
	body: Uint8Array,
	signature: Signature,
	trust: Trust,
): string {
	const key = trust.find(signature.key, purpose);
	if (!key)
		throw new WattvoxError(
			"E_SIGNATURE",
			`the ${purpose} is signed by key ${signature.key.slice(0, 16)}, which is not trusted here`,
		);
	if (!signatureHolds(purpose, body, signature, key))
		throw new WattvoxError(
			"E_SIGNATURE",
			`the ${purpose} is not what key ${signature.key.slice(0, 16)} signed`,
		);
	return signature.key;
}
