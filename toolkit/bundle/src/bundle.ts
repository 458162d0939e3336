import { readdir } from "node:fs/promises";
import { join, resolve } from "node:path";
import { unlessShortage, WattvoxError } from "@wattvox/core";
import { openPlain, readPlain } from "./disk.ts";
import { hashFile, hashWhole } from "./hash.ts";
import type { Trust } from "./keys.ts";
import {
	type BundleFile,
	bundleDigest,
	isExpired,
	MANIFEST,
	MANIFEST_MAX_BYTES,
	MANIFEST_SIGNATURE,
	type Manifest,
	parseManifest,
	type Role,
} from "./manifest.ts";
import {
	parseSignature,
	SIGNATURE_MAX_BYTES,
	verifyBytes,
} from "./signature.ts";

/** A bundle whose signature and every byte have been verified. */
export interface Bundle {
	/** Absolute path of its folder. */
	dir: string;
	/** SHA-256 of its manifest, hex: the bundle's name. */
	digest: string;
	manifest: Manifest;
	/** Id of the key that signed it. */
	signer: string;
	/** Past its expiry: fine to speak with, not to be offered as an update. */
	expired: boolean;
	/** Absolute paths of the files with this role, in the manifest's order. */
	paths(role: Role): string[];
	/**
	 * Absolute path of the one file with this role.
	 * @throws WattvoxError E_FILE_FORMAT when there is none or more than one
	 */
	path(role: Role): string;
}

export interface OpenOptions {
	/** Milliseconds since 1970; default now. */
	now?: number;
	signal?: AbortSignal;
}

/**
 * Opens a bundle folder: the signature over the manifest is verified before anything in it is
 * parsed, then every file is held to its hashes. Files that the manifest does not list are refused,
 * because a model could refer to them.
 * @throws WattvoxError E_FILE_MISSING (no bundle there), E_SIGNATURE, E_FILE_FORMAT, E_TAMPERED
 */
export async function openBundle(
	dir: string,
	trust: Trust,
	options: OpenOptions = {},
): Promise<Bundle> {
	return openFiles(dir, await readManifestFiles(dir), trust, options);
}

/** As {@link openBundle}, of a folder whose manifest was read: it is read once, so it cannot change under us. */
export async function openFiles(
	dir: string,
	{ bytes, signature }: { bytes: Buffer; signature: Buffer },
	trust: Trust,
	options: OpenOptions = {},
): Promise<Bundle> {
	const signer = verifyBytes(
		"manifest",
		bytes,
		parseSignature(signature),
		trust,
	);
	const manifest = parseManifest(bytes);
	const problems = await checkFiles(dir, manifest, options.signal);
	const [first] = problems;
	if (first)
		throw new WattvoxError(
			"E_TAMPERED",
			`bundle ${dir}: ${first}${problems.length > 1 ? ` (and ${problems.length - 1} more)` : ""}`,
		);
	const expired = isExpired(manifest, options.now ?? Date.now());
	return asBundle(dir, bundleDigest(bytes), manifest, signer, expired);
}

/** An open bundle whose folder was renamed since. */
export function movedBundle(
	{ digest, manifest, signer, expired }: Bundle,
	dir: string,
): Bundle {
	return asBundle(dir, digest, manifest, signer, expired);
}

/** The two files that stand for a bundle, unverified. */
export async function readManifestFiles(
	dir: string,
): Promise<{ bytes: Buffer; signature: Buffer }> {
	return {
		bytes: await readPlain(join(dir, MANIFEST), MANIFEST_MAX_BYTES),
		signature: await readPlain(
			join(dir, MANIFEST_SIGNATURE),
			SIGNATURE_MAX_BYTES,
		),
	};
}

/** What is wrong with the folder's files against the manifest; empty when nothing is. */
export async function checkFiles(
	dir: string,
	manifest: Manifest,
	signal?: AbortSignal,
): Promise<string[]> {
	const problems: string[] = [];
	const listed = new Set([MANIFEST, MANIFEST_SIGNATURE]);
	for (const file of manifest.files) {
		listed.add(file.name);
		const problem = await checkFile(join(dir, file.name), file, signal);
		if (problem) problems.push(`${file.name} ${problem}`);
	}
	for (const name of await readdir(dir))
		if (!listed.has(name)) problems.push(`${name} is not in the manifest`);
	return problems;
}

async function checkFile(
	path: string,
	file: BundleFile,
	signal?: AbortSignal,
): Promise<string | undefined> {
	let handle: Awaited<ReturnType<typeof openPlain>>;
	try {
		handle = await openPlain(path);
	} catch (thrown) {
		unlessShortage(thrown);
		const missing =
			thrown instanceof WattvoxError && thrown.code === "E_FILE_MISSING";
		return missing ? "is missing" : "is not a regular file";
	}
	try {
		const { size } = await handle.stat();
		if (size !== file.size) return `has ${size} bytes instead of ${file.size}`;
		if ((await hashWhole(handle, signal)) === file.sha256) return undefined;
		const found = await hashFile(handle, signal ? { signal } : {});
		const bad = found.blocks.findIndex((h, i) => h !== file.blocks[i]);
		return `differs from what was signed${bad < 0 ? "" : ` in block ${bad}`}`;
	} finally {
		await handle.close();
	}
}

function asBundle(
	dir: string,
	digest: string,
	manifest: Manifest,
	signer: string,
	expired: boolean,
): Bundle {
	const root = resolve(dir);
	const paths = (role: Role) =>
		manifest.files
			.filter((f) => f.role === role)
			.map((f) => join(root, f.name));
	return {
		dir: root,
		digest,
		manifest,
		signer,
		expired,
		paths,
		path(role) {
			const [path, second] = paths(role);
			if (path && !second) return path;
			throw new WattvoxError(
				"E_FILE_FORMAT",
				`bundle ${dir} has ${path ? "more than one" : "no"} ${role} file`,
			);
		},
	};
}
