import { mkdir, readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { outputError, WattvoxError } from "@wattvox/core";
import { readManifestFiles } from "./bundle.ts";
import { removeDirAtomic } from "./disk.ts";
import { parseManifest } from "./manifest.ts";
import { zDigest } from "./names.ts";

/**
 * Takes a bundle out of a store's folder, at once and whole: a crash on the way leaves a bundle that is
 * there or one that is not. Its blobs stay.
 * @throws WattvoxError E_OUTPUT
 */
export async function forgetBundle(
	root: string,
	digest: string,
): Promise<void> {
	const partial = join(root, "partial");
	try {
		await mkdir(partial, { recursive: true });
	} catch (thrown) {
		throw outputError(partial, thrown);
	}
	for (const at of ["bundles", "partial"])
		await removeDirAtomic(join(root, at, zDigest.parse(digest)), partial);
}

/**
 * Removes the blobs and parts that no bundle lists, neither one that is here nor one that is still
 * coming, and what a crash left half done. Not beside a put or a pull into the same folder.
 * @returns bytes removed
 * @throws WattvoxError E_FILE_FORMAT (a manifest cannot be read: then nothing is removed), E_OUTPUT
 */
export async function sweepStore(root: string): Promise<number> {
	const wanted = new Set<string>();
	for (const at of ["bundles", "partial"])
		for (const name of await list(join(root, at))) {
			if (!zDigest.safeParse(name).success) continue;
			for (const sha256 of await blobsOf(join(root, at, name)))
				wanted.add(sha256);
		}
	const blobs = join(root, "blobs", "sha256");
	const partial = join(root, "partial");
	let bytes = 0;
	for (const name of await list(blobs))
		if (!wanted.has(name)) bytes += await remove(join(blobs, name));
	for (const name of await list(partial)) {
		const part = name.endsWith(".part") && !wanted.has(name.slice(0, -5));
		if (part || name.startsWith("."))
			bytes += await remove(join(partial, name));
	}
	return bytes;
}

function list(dir: string): Promise<string[]> {
	return readdir(dir).catch(() => []);
}

async function blobsOf(dir: string): Promise<string[]> {
	try {
		const { bytes } = await readManifestFiles(dir);
		return parseManifest(bytes).files.map((file) => file.sha256);
	} catch (thrown) {
		// half a folder holds no bundle, so it needs no blobs
		if (thrown instanceof WattvoxError && thrown.code === "E_FILE_MISSING")
			return [];
		throw thrown;
	}
}

async function remove(path: string): Promise<number> {
	try {
		const info = await stat(path);
		await rm(path, { recursive: true, force: true });
		return info.isFile() ? info.size : 0;
	} catch (thrown) {
		throw outputError(path, thrown);
	}
}
