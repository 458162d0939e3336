import {
	type BundleFile,
	bundleDigest,
	checkTrustTime,
	type FolderStore,
	isExpired,
	MANIFEST_MAX_BYTES,
	type Manifest,
	type ManifestFiles,
	type PartialBlob,
	parseManifest,
	parseSignature,
	type Trust,
	verifyBytes,
} from "@wattvox/bundle";
import { systemClock, WattvoxError } from "@wattvox/core";
import {
	BlockFetcher,
	type FetchCounters,
	type FetchOptions,
	type Want,
} from "./fetch.ts";
import {
	type Budget,
	checkRoom,
	fetchWhole,
	fetchWithin,
} from "./fetch-parts.ts";
import { copyKnownBlocks } from "./local-blocks.ts";

export interface PullOptions extends FetchOptions {
	/** The bundle wanted. */
	digest: string;
	/** Where it goes. */
	into: FolderStore;
	trust: Trust;
	/** Take a bundle past its expiry. Default false. */
	allowExpired?: boolean;
	/** What this device may receive; unlimited without. */
	budget?: Budget;
	signal?: AbortSignal;
	/** Told as blocks arrive: bytes on disk, and of all files of the bundle. */
	onProgress?: (done: number, total: number) => void;
}

export interface PullResult {
	manifest: Manifest;
	/** Key id. */
	signer: string;
	/** Of all files, bytes. */
	totalBytes: number;
	/** Of these, how many were here before: shared with another bundle, or from an earlier attempt. */
	keptBytes: number;
	/** Of the kept ones, how many were copied from other files that have the same blocks. */
	copiedBytes: number;
	counters: FetchCounters;
	/** From the first request to the bundle being on disk. */
	seconds: number;
}

const running = new Set<string>();

/**
 * Brings a bundle into a local store: manifest, signature, then the blocks that are missing: from an
 * interrupted attempt, from other files here that have the same blocks, and only then from the store. Each
 * block is held to its signed hash before it is written, each file is hashed again from disk, and
 * the bundle exists in the store only when all of it does. Interrupted at any point, a later pull
 * goes on from the blocks on disk.
 * @throws WattvoxError E_SIGNATURE, E_TAMPERED, E_EXPIRED, E_FILE_FORMAT, E_PULL, E_TIMEOUT,
 * E_BROKER, E_DENIED, E_BUDGET, E_DISK_FULL, E_OUTPUT, E_BUSY (this bundle is being pulled already); the signal's reason
 */
export async function pullBundle(options: PullOptions): Promise<PullResult> {
	const { digest, into, signal, clock = systemClock } = options;
	const begin = clock.monotonic();
	const name = `${into.root}\n${digest}`;
	if (running.has(name))
		throw new WattvoxError("E_BUSY", `${digest} is being pulled already`);
	running.add(name);
	const fetcher = new BlockFetcher(options);
	try {
		const here = await into.readManifest(digest);
		const files = here ?? (await staged(options));
		const known =
			files ??
			(await fetchWhole(
				fetcher,
				"manifest",
				digest,
				MANIFEST_MAX_BYTES,
				signal,
			));
		const signer = verifyManifest(known, options);
		// what has expired, by this clock, is not asked for a second time when the clock has been put right
		if (!here && !files) await into.stage(known.bytes, known.signature);
		const manifest = readInTime(known.bytes, options);
		const totalBytes = manifest.files.reduce((sum, f) => sum + f.size, 0);
		let kept = { keptBytes: totalBytes, copiedBytes: 0 };
		if (!here) {
			kept = await fetchBlobs(fetcher, manifest, totalBytes, options);
			await into.commit(digest);
		}
		return {
			manifest,
			signer,
			totalBytes,
			...kept,
			counters: fetcher.counters,
			seconds: (clock.monotonic() - begin) / 1000,
		};
	} finally {
		running.delete(name);
	}
}

/** The manifest that an earlier attempt left, if it still convinces. */
async function staged(
	options: PullOptions,
): Promise<ManifestFiles | undefined> {
	const files = await options.into.staged(options.digest);
	try {
		if (files) verifyManifest(files, options);
		return files;
	} catch {
		return undefined;
	}
}

/**
 * The signature first, then the digest that was asked for; what it says is not looked at.
 * @returns the signer's key id
 */
function verifyManifest(
	{ bytes, signature }: ManifestFiles,
	{ digest, trust }: PullOptions,
): string {
	const signer = verifyBytes(
		"manifest",
		bytes,
		parseSignature(signature),
		trust,
	);
	if (bundleDigest(bytes) !== digest)
		throw new WattvoxError("E_TAMPERED", `this is not bundle ${digest}`);
	return signer;
}

/** What a manifest that was verified says, while it may be pulled. */
function readInTime(
	bytes: Buffer,
	{ digest, trust, allowExpired = false, clock = systemClock }: PullOptions,
): Manifest {
	if (!allowExpired) checkTrustTime(trust, clock.wall());
	const manifest = parseManifest(bytes);
	if (!allowExpired && isExpired(manifest, clock.wall()))
		throw new WattvoxError(
			"E_EXPIRED",
			`bundle ${digest.slice(0, 16)} expired on ${manifest.expires}`,
		);
	return manifest;
}

/** @returns bytes that were here before */
async function fetchBlobs(
	fetcher: BlockFetcher,
	manifest: Manifest,
	totalBytes: number,
	options: PullOptions,
): Promise<{ keptBytes: number; copiedBytes: number }> {
	const { into, signal, onProgress } = options;
	const unique = new Map(manifest.files.map((f) => [f.sha256, f]));
	const parts: PartialBlob[] = [];
	const finishing: Promise<void>[] = [];
	const wants: Want[] = [];
	// the first failure to put a file in place ends the fetching of the others
	const failed = new AbortController();
	const either = signal
		? AbortSignal.any([signal, failed.signal])
		: failed.signal;
	const complete = new Set<PartialBlob>();
	const finish = (part: PartialBlob, file: BundleFile) => {
		if (part.missingCount > 0 || complete.has(part)) return;
		complete.add(part);
		const end = part.finish(into.blobPath(file.sha256), signal);
		end.catch((thrown) => failed.abort(thrown));
		finishing.push(end);
	};
	try {
		const open: { part: PartialBlob; file: BundleFile }[] = [];
		for (const file of unique.values()) {
			if (await into.hasBlob(file)) continue;
			const part = await into.partial(file, signal);
			parts.push(part);
			open.push({ part, file });
		}
		checkRoom(open, await into.free(), into.root);
		const copiedBytes = await copyKnownBlocks(into, open, signal);
		for (const { part, file } of open) {
			for (const index of part.missing())
				wants.push({
					kind: "blob",
					digest: file.sha256,
					index,
					take: (bytes) => part.take(index, bytes),
				});
			finish(part, file);
		}
		const missing = missingBytes(parts);
		const tell = () =>
			onProgress?.(totalBytes - missingBytes(parts), totalBytes);
		tell();
		await fetchWithin(fetcher, wants, options.budget, either, async () => {
			await Promise.all(parts.map((part) => part.flush()));
			for (const { part, file } of open) finish(part, file);
			tell();
		});
		await Promise.all(finishing);
		return { keptBytes: totalBytes - missing, copiedBytes };
	} finally {
		await Promise.allSettled(finishing);
		for (const part of parts) await part.close();
	}
}

function missingBytes(parts: readonly PartialBlob[]): number {
	return parts.reduce((sum, part) => sum + part.missingBytes, 0);
}
