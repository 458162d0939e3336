import { WattvoxError } from "@wattvox/core";
import { z } from "zod";
import { canonicalBytes, parseCanonical } from "./canonical.ts";
import type { PrivateKey, Trust } from "./keys.ts";
import {
	type Purpose,
	signatureHolds,
	signBytes,
	zSignature,
} from "./signature.ts";

/** A document and its signature in one file: the signed text as it was signed. */
const zSealed = z.strictObject({
	v: z.literal(1),
	/** Canonical JSON. */
	signed: z.string().max(1_000_000),
	signature: zSignature,
});

/** What is in a sealed file, and how far it can be believed. */
export interface Opened {
	value: unknown;
	/** Key id. */
	signer: string;
	/** "unknown": signed by a key that is not trusted here, so nothing can be said about it. */
	signature: "trusted" | "unknown" | "bad";
}

/** A document as the bytes of a file that carries its own signature. */
export function seal(
	purpose: Purpose,
	value: unknown,
	key: PrivateKey,
): Buffer {
	const body = canonicalBytes(value);
	const signature = signBytes(purpose, body, key);
	return canonicalBytes({ v: 1, signed: body.toString("utf8"), signature });
}

/**
 * Opens such a file, for people: who only wants what is trusted looks at `signature` first.
 * @throws WattvoxError E_FILE_FORMAT
 */
export function openSealed(
	purpose: Purpose,
	bytes: Uint8Array,
	trust?: Trust,
): Opened {
	let sealed: z.infer<typeof zSealed>;
	try {
		sealed = zSealed.parse(JSON.parse(Buffer.from(bytes).toString("utf8")));
	} catch (cause) {
		throw new WattvoxError("E_FILE_FORMAT", `this is no sealed ${purpose}`, {
			cause,
		});
	}
	const body = Buffer.from(sealed.signed, "utf8");
	const { signature } = sealed;
	const key = trust?.find(signature.key, purpose);
	const holds = key && signatureHolds(purpose, body, signature, key);
	return {
		value: parseCanonical(body, `the ${purpose}`),
		signer: signature.key,
		signature: !key ? "unknown" : holds ? "trusted" : "bad",
	};
}
