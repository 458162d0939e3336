import { WattvoxError } from "@wattvox/core";
import { z } from "zod";
import { canonicalBytes, parseCanonical } from "./canonical.ts";
import {
	blockCount,
	FILE_NAME_PATTERN,
	sha256,
	zDigest,
	zId,
	zInstant,
} from "./names.ts";

/** Names of the two files that are not listed in the manifest. */
export const MANIFEST = "manifest.json";
export const MANIFEST_SIGNATURE = "manifest.sig";
/** Ceiling on a manifest's size, bytes: enough for 15 GB of files. */
export const MANIFEST_MAX_BYTES = 16 * 1024 * 1024;

/** What a file is for. */
export const ROLES = [
	"text",
	"decoder",
	"adapter",
	"voice",
	"lexicon",
	"golden",
	"energy",
	"licence",
] as const;
export type Role = (typeof ROLES)[number];

const zFile = z
	.strictObject({
		name: z.string().regex(FILE_NAME_PATTERN, "not a plain file name"),
		role: z.enum(ROLES),
		/** Bytes. */
		size: z.int().min(0),
		/** Of the whole file. */
		sha256: zDigest,
		/** Of every 64 KiB block, in order; the last block may be shorter. */
		blocks: z.array(zDigest),
	})
	.refine((f) => f.blocks.length === blockCount(f.size), {
		message: "the number of block hashes does not fit the size",
	});

/** What training cost; null is unknown, never 0. */
const zEnergy = z.strictObject({
	/** The passport among the bundle's files. */
	file: z.string().regex(FILE_NAME_PATTERN).optional(),
	/** Watt-hours to train. */
	trainWh: z.number().min(0).nullable(),
	/** Grams of CO2-equivalent to train. */
	gCO2e: z.number().min(0).nullable(),
	/** False: an estimate. */
	measured: z.boolean(),
});

/** The statement of a bundle whose speaker's consent nobody stated: a manifest must have one. */
export const NO_CONSENT = "No consent statement was given.";

const zConsent = z.strictObject({
	/** What the speaker agreed to, in words. */
	statement: z.string().min(1).max(4000),
	/** Who agreed, if they wish to be named. */
	speaker: z.string().max(200).optional(),
	/** When. */
	at: zInstant.optional(),
});

/** Everything in a manifest but its files: what the one who writes a bundle gives. */
const zMeta = z.strictObject({
	/** The voice's name. */
	voice: zId,
	/** BCP 47 tag. */
	language: z.string().min(2).max(35),
	/** Hz. */
	sampleRate: z.int().min(8000).max(192_000),
	/** The base that the voice stands on; digest of the base's own bundle, null when it has none. */
	base: z.strictObject({ name: zId, digest: zDigest.nullable() }),
	energy: zEnergy,
	consent: zConsent,
	created: zInstant,
	/** From when on the bundle is no longer offered as an update. It may be spoken with for ever. */
	expires: zInstant,
});

export const zManifest = zMeta
	.extend({
		format: z.literal("wattvox-bundle/1"),
		files: z.array(zFile).min(1).max(256),
	})
	.refine((m) => new Set(m.files.map((f) => f.name)).size === m.files.length, {
		message: "two files have one name",
	})
	.refine(
		(m) =>
			m.files.every((f) => ![MANIFEST, MANIFEST_SIGNATURE].includes(f.name)),
		{ message: "a file is named like the manifest" },
	)
	.refine((m) => Date.parse(m.expires) > Date.parse(m.created), {
		message: "expires before created",
	})
	.refine(
		(m) =>
			m.energy.file === undefined ||
			m.files.some((f) => f.name === m.energy.file && f.role === "energy"),
		{ message: "the energy passport is not among the files" },
	);

export type BundleMeta = z.infer<typeof zMeta>;
export type BundleFile = z.infer<typeof zFile>;
export type Manifest = z.infer<typeof zManifest>;

/**
 * A manifest as the bytes that are signed and whose SHA-256 is the bundle's digest.
 * @throws WattvoxError E_FILE_FORMAT
 */
export function manifestBytes(manifest: Manifest): Buffer {
	return canonicalBytes(checkManifest(manifest));
}

/**
 * Parses manifest bytes. Verify their signature first.
 * @throws WattvoxError E_FILE_FORMAT
 */
export function parseManifest(bytes: Uint8Array): Manifest {
	return checkManifest(parseCanonical(bytes, "the manifest"));
}

/** The digest that names a bundle: SHA-256 of its manifest's bytes. */
export function bundleDigest(manifest: Uint8Array): string {
	return sha256(manifest);
}

/** Whether the bundle is past its expiry at `now` (milliseconds since 1970). */
export function isExpired(manifest: Manifest, now: number): boolean {
	return Date.parse(manifest.expires) <= now;
}

function checkManifest(value: unknown): Manifest {
	const parsed = zManifest.safeParse(value);
	if (parsed.success) return parsed.data;
	throw new WattvoxError(
		"E_FILE_FORMAT",
		`the manifest is not valid: ${z.prettifyError(parsed.error)}`,
	);
}
