import { WattvoxError } from "@wattvox/core";
import { z } from "zod";
import { canonicalBytes, parseCanonical } from "./canonical.ts";
import {
	type PrivateKey,
	type PublicKey,
	publicKeyFromRaw,
	rawPublicKey,
} from "./keys.ts";
import { zDigest, zInstant } from "./names.ts";
import {
	type Purpose,
	type Signature,
	signatureHolds,
	signBytes,
	zSignature,
} from "./signature.ts";

/** What a key may be for. */
export const KEY_ROLES = ["root", "release", "fleet", "builder"] as const;
export type KeyRole = (typeof KEY_ROLES)[number];

/** Which role signs which kind of document. */
export const ROLE_OF: Readonly<Record<Purpose, KeyRole>> = {
	root: "root",
	manifest: "release",
	desired: "fleet",
	engine: "builder",
	attestation: "fleet",
};

/** A raw Ed25519 public key, 32 bytes in base64. */
const zRawKey = z
	.string()
	.regex(/^[A-Za-z0-9+/]{43}=$/, "not 32 bytes in base64");
const zKeyIds = z.array(zDigest).max(32);

/** Which keys a fleet believes, and for what: the signed part of a root. */
export const zRoot = z
	.strictObject({
		format: z.literal("wattvox-root/1"),
		/** Rises by one with every root. */
		version: z.int().min(1),
		created: zInstant,
		/** From when on a device takes no more updates under this root. */
		expires: zInstant,
		/** Key id -> raw public key. */
		keys: z.record(zDigest, zRawKey),
		roles: z.strictObject({
			/** A new root needs this many of the old root's keys, and as many of its own. */
			root: z.strictObject({
				keys: zKeyIds.min(1),
				threshold: z.int().min(1),
			}),
			release: zKeyIds,
			fleet: zKeyIds,
			builder: zKeyIds,
		}),
	})
	.refine((r) => new Set(r.roles.root.keys).size >= r.roles.root.threshold, {
		message: "fewer root keys than the threshold",
	})
	.refine(
		(r) =>
			[
				r.roles.root.keys,
				r.roles.release,
				r.roles.fleet,
				r.roles.builder,
			].every((ids) => ids.every((id) => Object.hasOwn(r.keys, id))),
		{ message: "a role names a key that is not there" },
	);
export type Root = z.infer<typeof zRoot>;

const zSignedRoot = z.strictObject({
	/** Canonical JSON of {@link Root}. */
	signed: z.string().max(32_768),
	signatures: z.array(zSignature).min(1).max(32),
});
export type SignedRoot = z.infer<typeof zSignedRoot>;

const zRootFile = z.strictObject({
	v: z.literal(1),
	/** Consecutive versions, oldest first. */
	roots: z.array(zSignedRoot).min(1).max(64),
});

/** The most that a root file may have, bytes. */
export const ROOT_FILE_MAX_BYTES = 65_536;

/** Roots as the bytes of a file or a message. */
export function rootFileBytes(roots: readonly SignedRoot[]): Buffer {
	return Buffer.from(`${JSON.stringify({ v: 1, roots })}\n`, "utf8");
}

/**
 * Reads the envelope of a root file; nothing that is signed is looked at.
 * @throws WattvoxError E_FILE_FORMAT
 */
export function parseRootFile(bytes: Uint8Array): SignedRoot[] {
	try {
		if (bytes.byteLength > ROOT_FILE_MAX_BYTES) throw new Error("too long");
		return zRootFile.parse(JSON.parse(Buffer.from(bytes).toString("utf8")))
			.roots;
	} catch (cause) {
		throw new WattvoxError("E_FILE_FORMAT", "this is not a root file", {
			cause,
		});
	}
}

/**
 * Signs a root.
 * @throws WattvoxError E_FILE_FORMAT (the root is not valid)
 */
export function signRoot(root: Root, keys: readonly PrivateKey[]): SignedRoot {
	const body = canonicalBytes(checkRoot(root));
	return {
		signed: body.toString("utf8"),
		signatures: keys.map((key) => signBytes("root", body, key)),
	};
}

/**
 * A root whose signatures convince: at least `threshold` different root keys of `by`, and as many as
 * it demands itself of its own. `by` undefined: the first root, which vouches for itself and is
 * believed because of where it was found.
 * @throws WattvoxError E_SIGNATURE, E_FILE_FORMAT
 */
export function verifyRoot(root: SignedRoot, by: Root | undefined): Root {
	const body = Buffer.from(root.signed, "utf8");
	if (by) checkThreshold(body, root.signatures, by, "the root before it");
	const parsed = checkRoot(parseCanonical(body, "the root"));
	checkThreshold(body, root.signatures, parsed, "its own keys");
	if (by && parsed.version !== by.version + 1)
		throw new WattvoxError(
			"E_SIGNATURE",
			`root ${parsed.version} does not follow root ${by.version}`,
		);
	return parsed;
}

/** The public key with this id, when it is in the root. */
export function rootKey(root: Root, id: string): PublicKey | undefined {
	const raw = Object.hasOwn(root.keys, id) ? root.keys[id] : undefined;
	const key =
		raw === undefined
			? undefined
			: publicKeyFromRaw(Buffer.from(raw, "base64"));
	// an id that is not the hash of its key names nothing
	return key?.id === id ? key : undefined;
}

/** A public key as a root lists it. */
export function rootKeyEntry(key: PublicKey): [id: string, raw: string] {
	return [key.id, rawPublicKey(key).toString("base64")];
}

function checkThreshold(
	body: Buffer,
	signatures: readonly Signature[],
	by: Root,
	whose: string,
): void {
	const { keys, threshold } = by.roles.root;
	const good = new Set<string>();
	for (const signature of signatures) {
		if (!keys.includes(signature.key)) continue;
		const key = rootKey(by, signature.key);
		if (key && signatureHolds("root", body, signature, key.key))
			good.add(signature.key);
	}
	if (good.size < threshold)
		throw new WattvoxError(
			"E_SIGNATURE",
			`the root has ${good.size} good signatures by ${whose} and needs ${threshold}`,
		);
}

function checkRoot(value: unknown): Root {
	const parsed = zRoot.safeParse(value);
	if (parsed.success) return parsed.data;
	throw new WattvoxError(
		"E_FILE_FORMAT",
		`the root is not valid: ${z.prettifyError(parsed.error)}`,
	);
}
