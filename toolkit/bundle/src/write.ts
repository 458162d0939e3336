import { constants } from "node:fs";
import { join } from "node:path";
import { WattvoxError } from "@wattvox/core";
import { type Disk, makeDirAtomic, openPlain, systemDisk } from "./disk.ts";
import { type FileHashes, hashBytes, hashFile } from "./hash.ts";
import type { PrivateKey } from "./keys.ts";
import {
	type BundleMeta,
	bundleDigest,
	MANIFEST,
	MANIFEST_SIGNATURE,
	type Manifest,
	manifestBytes,
	type Role,
} from "./manifest.ts";
import { FILE_NAME_PATTERN } from "./names.ts";
import { signatureBytes, signBytes } from "./signature.ts";

/** A file to put into a bundle: from a path, or bytes in memory. */
export type BundleSource = { role: Role; name: string } & (
	| { path: string }
	| { bytes: Uint8Array }
);

export interface WriteOptions {
	signal?: AbortSignal;
	disk?: Disk;
}

/**
 * Writes a signed bundle folder, whole or not at all. A bundle that is already there is replaced;
 * any other non-empty folder is left alone.
 * @returns the digest that names the bundle, and its manifest
 * @throws WattvoxError E_FILE_FORMAT (names, meta), E_FILE_MISSING, E_OUTPUT, E_DISK_FULL
 */
export async function writeBundle(
	dir: string,
	files: readonly BundleSource[],
	meta: BundleMeta,
	key: PrivateKey,
	options: WriteOptions = {},
): Promise<{ digest: string; manifest: Manifest }> {
	for (const { name } of files)
		if (!FILE_NAME_PATTERN.test(name))
			throw new WattvoxError(
				"E_FILE_FORMAT",
				`${JSON.stringify(name)} cannot be a file's name in a bundle`,
			);
	const disk = options.disk ?? systemDisk;
	let result: { digest: string; manifest: Manifest } | undefined;
	await makeDirAtomic(
		dir,
		async (aside) => {
			const listed: Manifest["files"] = [];
			for (const file of files) {
				const path = join(aside, file.name);
				const hashes = await writeFile(path, file, disk, options.signal);
				listed.push({ name: file.name, role: file.role, ...hashes });
			}
			const manifest: Manifest = {
				format: "wattvox-bundle/1",
				...meta,
				files: listed,
			};
			const bytes = manifestBytes(manifest);
			const signature = signatureBytes(signBytes("manifest", bytes, key));
			await writeNew(join(aside, MANIFEST), bytes, disk);
			await writeNew(join(aside, MANIFEST_SIGNATURE), signature, disk);
			result = { digest: bundleDigest(bytes), manifest };
		},
		(entries) => entries.includes(MANIFEST),
	);
	if (!result) throw new WattvoxError("E_BUG", "the bundle was not filled");
	return result;
}

async function writeFile(
	path: string,
	source: BundleSource,
	disk: Disk,
	signal?: AbortSignal,
): Promise<FileHashes> {
	if ("bytes" in source) {
		await writeNew(path, source.bytes, disk);
		return hashBytes(source.bytes);
	}
	const from = await openPlain(source.path);
	try {
		return await writeNew(path, undefined, disk, (to) =>
			hashFile(from, signal ? { to, signal } : { to }),
		);
	} finally {
		await from.close();
	}
}

const CREATE = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL;

/** Creates a file with `bytes`, or with what `fill` writes, and brings it to disk. */
async function writeNew<T>(
	path: string,
	bytes: Uint8Array | undefined,
	disk: Disk,
	fill?: (to: import("node:fs/promises").FileHandle) => Promise<T>,
): Promise<T> {
	const handle = await disk.open(path, CREATE, 0o644);
	try {
		if (bytes) await handle.writeFile(bytes);
		const result = (await fill?.(handle)) as T;
		await handle.sync();
		return result;
	} finally {
		await handle.close();
	}
}
