import { constants } from "node:fs";
import {
	copyFile,
	link,
	mkdir,
	open,
	readdir,
	rename,
	rm,
	stat,
} from "node:fs/promises";
import { dirname, join } from "node:path";
import { outputError, syncDir, WattvoxError } from "@wattvox/core";
import {
	type Bundle,
	movedBundle,
	openBundle,
	openFiles,
	readManifestFiles,
} from "./bundle.ts";
import { type Disk, makeDirAtomic, openPlain, systemDisk } from "./disk.ts";
import { EngineShelf } from "./engine-shelf.ts";
import { hashWhole, readFully } from "./hash.ts";
import type { Trust } from "./keys.ts";
import {
	type BundleFile,
	bundleDigest,
	MANIFEST,
	MANIFEST_SIGNATURE,
	parseManifest,
} from "./manifest.ts";
import { BLOCK_BYTES, zDigest } from "./names.ts";
import { PartialBlob } from "./partial.ts";
import { ReadAhead } from "./read-ahead.ts";
import { parseSignature, verifyBytes } from "./signature.ts";
import { forgetBundle, sweepStore } from "./store-sweep.ts";

/** Blocks: 4 MiB. */
const COPIED_AT_ONCE = 64;

/** A manifest and its signature as they lie on disk, unverified. */
export interface ManifestFiles {
	bytes: Buffer;
	signature: Buffer;
}

/** What a store server reads from: a folder here, other kinds of store behind the same port. */
export interface BlockSource {
	/** Undefined when the store does not hold the bundle. */
	readManifest(digest: string): Promise<ManifestFiles | undefined>;
	/**
	 * One block of a blob (64 KiB, the last one shorter), not to be written to; undefined when there
	 * is none.
	 */
	readBlock(sha256: string, index: number): Promise<Buffer | undefined>;
	/**
	 * The signed head of an engine, by its name; undefined when the store does not hold it. Its plan's
	 * blocks are read like a file's. Absent: this store keeps no engines.
	 */
	readEngine?(name: string): Promise<Buffer | undefined>;
}

/**
 * A content-addressed store in a folder:
 * ```
 * blobs/sha256/<hex>                  files, once each, whatever bundles they belong to
 * bundles/<digest>/manifest.json|sig  exists only when all its blobs do
 * partial/<hex>.part                  blobs that are still coming
 * partial/<digest>/manifest.json|sig  bundles whose blobs are still coming
 * engines/                            engines that build stations brought, see EngineShelf
 * ```
 */
export class FolderStore implements BlockSource {
	readonly root: string;
	/** Engines are no bundle's: dropping bundles leaves them. */
	readonly engines: EngineShelf;
	readonly #disk: Disk;
	readonly #readAhead = new ReadAhead();

	constructor(root: string, options: { disk?: Disk } = {}) {
		this.root = root;
		this.#disk = options.disk ?? systemDisk;
		this.engines = new EngineShelf(join(root, "engines"));
	}

	/**
	 * Takes a bundle in. Files it already has are not copied again, but hashed: what is missing, or is not
	 * what was signed, is put in its place. So a store is mended by publishing again.
	 * @returns the bundle's digest
	 * @throws as {@link openBundle}; WattvoxError E_OUTPUT, E_DISK_FULL
	 */
	async put(
		bundleDir: string,
		trust: Trust,
		signal?: AbortSignal,
	): Promise<string> {
		const options = signal ? { signal } : {};
		const files = await readManifestFiles(bundleDir);
		const { bytes, signature } = files;
		const bundle = await openFiles(bundleDir, files, trust, options);
		for (const file of bundle.manifest.files) {
			if (await this.#holds(file, signal)) continue;
			const from = await openPlain(join(bundle.dir, file.name));
			const part = await this.partial(file, signal);
			try {
				const missing = part.missing();
				// many at once share a flush
				for (let at = 0; at < missing.length; at += COPIED_AT_ONCE) {
					const some = missing.slice(at, at + COPIED_AT_ONCE);
					const kept = await allSettled(
						some.map(async (index) => {
							const buffer = Buffer.allocUnsafe(BLOCK_BYTES);
							const place = index * BLOCK_BYTES;
							return part.write(index, await readFully(from, buffer, place));
						}),
					);
					if (kept.includes(false))
						throw new WattvoxError(
							"E_TAMPERED",
							`${file.name} changed while it was copied`,
						);
					signal?.throwIfAborted();
				}
				await part.finish(this.blobPath(file.sha256), signal);
			} finally {
				await part.close();
				await from.close();
			}
		}
		const held = await this.readManifest(bundle.digest).catch(() => undefined);
		if (held?.bytes.equals(bytes) && held.signature.equals(signature))
			return bundle.digest;
		await this.forget(bundle.digest);
		await this.commit(await this.stage(bytes, signature));
		return bundle.digest;
	}

	/** Where a blob is, or would be. */
	blobPath(sha256: string): string {
		return join(this.root, "blobs", "sha256", zDigest.parse(sha256));
	}

	/** Whether the blob is here; what has this name was verified when it got it. */
	async hasBlob(file: Pick<BundleFile, "sha256" | "size">): Promise<boolean> {
		const info = await stat(this.blobPath(file.sha256)).catch(() => undefined);
		return info?.isFile() === true && info.size === file.size;
	}

	/** Whether the blob is here and still what it was: it is hashed. */
	async #holds(file: BundleFile, signal?: AbortSignal): Promise<boolean> {
		if (!(await this.hasBlob(file))) return false;
		const handle = await openPlain(this.blobPath(file.sha256));
		try {
			return (await hashWhole(handle, signal)) === file.sha256;
		} finally {
			await handle.close();
		}
	}

	/** Opens the part file of a blob that is to come. */
	partial(file: BundleFile, signal?: AbortSignal): Promise<PartialBlob> {
		const path = join(
			this.root,
			"partial",
			`${zDigest.parse(file.sha256)}.part`,
		);
		return PartialBlob.open(path, file, {
			disk: this.#disk,
			...(signal && { signal }),
		});
	}

	/**
	 * Keeps a bundle's manifest while its blobs are still coming, so that an interrupted pull need
	 * not fetch it again.
	 * @param bytes the manifest, whose signature the caller has verified
	 * @returns the bundle's digest
	 * @throws WattvoxError E_OUTPUT, E_DISK_FULL
	 */
	async stage(bytes: Uint8Array, signature: Uint8Array): Promise<string> {
		const digest = bundleDigest(bytes);
		await makeDirAtomic(
			this.#stagedDir(digest),
			async (dir) => {
				await this.#write(join(dir, MANIFEST), bytes);
				await this.#write(join(dir, MANIFEST_SIGNATURE), signature);
			},
			() => true,
		);
		return digest;
	}

	/** What {@link stage} kept; undefined when it has nothing. */
	staged(digest: string): Promise<ManifestFiles | undefined> {
		return readIfThere(this.#stagedDir(digest));
	}

	/**
	 * Makes a staged bundle one that the store holds, now that its blobs are all here.
	 * @throws WattvoxError E_BUG (not staged, or a blob is missing), E_OUTPUT
	 */
	async commit(digest: string): Promise<void> {
		const found = await this.staged(digest);
		if (!found) throw new WattvoxError("E_BUG", `${digest} is not staged`);
		for (const file of parseManifest(found.bytes).files)
			if (!(await this.hasBlob(file)))
				throw new WattvoxError("E_BUG", `${file.name} is not in the store`);
		const target = this.#bundleDir(digest);
		try {
			await mkdir(dirname(target), { recursive: true });
			await rename(this.#stagedDir(digest), target);
			await syncDir(dirname(target));
		} catch (thrown) {
			// somebody else may have committed the same bundle meanwhile
			if (!(await this.readManifest(digest))) throw outputError(target, thrown);
			await rm(this.#stagedDir(digest), { recursive: true, force: true });
		}
	}

	readManifest(digest: string): Promise<ManifestFiles | undefined> {
		return readIfThere(this.#bundleDir(digest));
	}

	async readBlock(sha256: string, index: number): Promise<Buffer | undefined> {
		const path = this.blobPath(sha256);
		try {
			const at = index * BLOCK_BYTES;
			const block = await this.#readAhead.read(path, at, BLOCK_BYTES);
			return block.byteLength > 0 ? block : undefined;
		} catch (thrown) {
			if (thrown instanceof WattvoxError && thrown.code === "E_FILE_MISSING")
				return this.engines.readBlock(sha256, index);
			throw thrown;
		}
	}

	readEngine(name: string): Promise<Buffer | undefined> {
		return this.engines.readHead(name);
	}

	/** Digests of the bundles that are here whole. */
	bundles(): Promise<string[]> {
		return digestsIn(join(this.root, "bundles"));
	}

	/** Digests of the bundles whose blobs were still coming when somebody last looked. */
	stagedBundles(): Promise<string[]> {
		return digestsIn(join(this.root, "partial"));
	}

	/**
	 * Takes a bundle out and leaves its blobs.
	 * @throws WattvoxError E_OUTPUT
	 */
	forget(digest: string): Promise<void> {
		return forgetBundle(this.root, digest);
	}

	/**
	 * Removes a blob, whether a bundle lists it or not; fine where there is none.
	 * @throws WattvoxError E_OUTPUT
	 */
	async removeBlob(sha256: string): Promise<void> {
		const path = this.blobPath(sha256);
		try {
			await rm(path, { force: true });
		} catch (thrown) {
			throw outputError(path, thrown);
		}
	}

	/**
	 * Takes bundles out, whole or still coming, and every blob that no other one lists. Not beside a put
	 * or a pull into the same folder.
	 * @returns bytes removed
	 * @throws WattvoxError E_FILE_FORMAT (another bundle's manifest cannot be read: its blobs are not
	 * known, so all stay), E_OUTPUT
	 */
	async drop(digests: Iterable<string>): Promise<number> {
		for (const digest of digests) await this.forget(digest);
		return sweepStore(this.root);
	}

	/**
	 * Lays a bundle out as a folder and opens it. Files are hard links where the disk allows it, so
	 * several voices of one base take the base's room once. The folder has its name only after every
	 * byte was verified.
	 * @throws WattvoxError E_FILE_MISSING (not here); as {@link openBundle}; E_OUTPUT, E_DISK_FULL; the
	 *   signal's reason, and then there is no folder
	 */
	async checkout(
		digest: string,
		dir: string,
		trust: Trust,
		signal?: AbortSignal,
	): Promise<Bundle> {
		const found = await this.readManifest(digest);
		if (!found)
			throw new WattvoxError("E_FILE_MISSING", `bundle ${digest} is not here`);
		verifyBytes(
			"manifest",
			found.bytes,
			parseSignature(found.signature),
			trust,
		);
		const manifest = parseManifest(found.bytes);
		let bundle: Bundle | undefined;
		await makeDirAtomic(
			dir,
			async (aside) => {
				for (const file of manifest.files) {
					signal?.throwIfAborted();
					await linkOrCopy(this.blobPath(file.sha256), join(aside, file.name));
				}
				await this.#write(join(aside, MANIFEST), found.bytes);
				await this.#write(join(aside, MANIFEST_SIGNATURE), found.signature);
				bundle = await openBundle(aside, trust, signal ? { signal } : {});
			},
			(entries) => entries.includes(MANIFEST),
		);
		if (!bundle) throw new WattvoxError("E_BUG", "nothing was laid out");
		return movedBundle(bundle, dir);
	}

	/** Bytes that can still be written here. */
	async free(): Promise<number> {
		await mkdir(this.root, { recursive: true });
		return this.#disk.free(this.root);
	}

	#bundleDir(digest: string): string {
		return join(this.root, "bundles", zDigest.parse(digest));
	}

	#stagedDir(digest: string): string {
		return join(this.root, "partial", zDigest.parse(digest));
	}

	async #write(path: string, bytes: Uint8Array): Promise<void> {
		const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL;
		const handle = await this.#disk.open(path, flags, 0o644);
		try {
			await handle.writeFile(bytes);
			await handle.sync();
		} finally {
			await handle.close();
		}
	}
}

async function digestsIn(dir: string): Promise<string[]> {
	const names = await readdir(dir).catch(() => []);
	return names.filter((n) => zDigest.safeParse(n).success).sort();
}

async function readIfThere(dir: string): Promise<ManifestFiles | undefined> {
	try {
		return await readManifestFiles(dir);
	} catch (thrown) {
		if (thrown instanceof WattvoxError && thrown.code === "E_FILE_MISSING")
			return undefined;
		throw thrown;
	}
}

/** As `Promise.all`, and nothing is under way any more when it throws. */
async function allSettled<T>(work: Promise<T>[]): Promise<T[]> {
	await Promise.allSettled(work);
	return Promise.all(work);
}

async function linkOrCopy(from: string, to: string): Promise<void> {
	await link(from, to).catch(async (thrown) => {
		// other filesystem, no links there, or too many links
		if (!["EXDEV", "EPERM", "ENOTSUP", "EMLINK"].includes(thrown.code))
			throw thrown;
		await copyFile(from, to, constants.COPYFILE_FICLONE);
		// a link's bytes are on the disk already, a copy's are not
		const copy = await open(to, "r");
		try {
			await copy.datasync();
		} finally {
			await copy.close();
		}
	});
}
