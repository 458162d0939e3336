import { createHash } from "node:crypto";
import { ID_PATTERN } from "@wattvox/core";
import { z } from "zod";

/** Bytes in every block of a file but its last. 64 KiB fits the payload limit of every broker in use. */
export const BLOCK_BYTES = 65_536;

/** What a file in a bundle may be called: no separators, and never a name that starts with a dot. */
export const FILE_NAME_PATTERN: RegExp = /^[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}$/;

/** SHA-256, lower-case hex. */
export const zDigest = z
	.string()
	.regex(/^[0-9a-f]{64}$/, "not a SHA-256 in lower-case hex");

/** A fleet, device, voice, base or store id. */
export const zId = z.string().regex(ID_PATTERN, "not an id");

/** An instant: ISO 8601, UTC. */
export const zInstant = z.iso.datetime();

/** SHA-256 of `bytes`, lower-case hex. */
export function sha256(bytes: Uint8Array): string {
	return createHash("sha256").update(bytes).digest("hex");
}

/** How many blocks a file of `size` bytes has. An empty file has none. */
export function blockCount(size: number): number {
	return Math.ceil(size / BLOCK_BYTES);
}

/** How many bytes block `index` of a file of `size` bytes has; 0 outside the file. */
export function blockLength(size: number, index: number): number {
	return Math.max(0, Math.min(BLOCK_BYTES, size - index * BLOCK_BYTES));
}
