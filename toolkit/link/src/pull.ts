import {
	BLOCK_BYTES,
	type BundleFile,
	blockCount,
	blockLength,
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

/** Bytes that may come. What was reserved counts as received until it is settled, also after a crash. */
export interface Budget {
	/**
	 * Sets up to `bytes` aside.
	 * @returns how many, at least one block
	 * @throws WattvoxError E_BUDGET when less than a block is left
	 */
	reserve(bytes: number): Promise<number>;
	/** Says how many of the reserved bytes really came. */
	settle(reserved: number, received: number): Promise<void>;
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
 * E_BROKER, E_BUDGET, E_DISK_FULL, E_OUTPUT, E_BUSY (this bundle is being pulled already); the signal's reason
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
		const known = files ?? (await fetchManifest(fetcher, digest, signal));
		const { manifest, signer } = verifyManifest(known, options);
		const totalBytes = manifest.files.reduce((sum, f) => sum + f.size, 0);
		let kept = { keptBytes: totalBytes, copiedBytes: 0 };
		if (!here) {
			if (!files) await into.stage(known.bytes, known.signature);
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
		if (files) verifyManifest(files, { ...options, allowExpired: true });
		return files;
	} catch {
		return undefined;
	}
}

/** The signature first, then the digest that was asked for, and only then what it says. */
function verifyManifest(
	{ bytes, signature }: ManifestFiles,
	{ digest, trust, allowExpired = false, clock = systemClock }: PullOptions,
): { manifest: Manifest; signer: string } {
	const signer = verifyBytes(
		"manifest",
		bytes,
		parseSignature(signature),
		trust,
	);
	if (bundleDigest(bytes) !== digest)
		throw new WattvoxError("E_TAMPERED", `this is not bundle ${digest}`);
	if (!allowExpired) checkTrustTime(trust, clock.wall());
	const manifest = parseManifest(bytes);
	if (!allowExpired && isExpired(manifest, clock.wall()))
		throw new WattvoxError(
			"E_EXPIRED",
			`bundle ${digest.slice(0, 16)} expired on ${manifest.expires}`,
		);
	return { manifest, signer };
}

/** Manifest parts carry no hash of their own: the digest and the signature judge the whole. */
async function fetchManifest(
	fetcher: BlockFetcher,
	digest: string,
	signal?: AbortSignal,
): Promise<ManifestFiles> {
	let whole: Buffer | undefined;
	let signature = "";
	const want = (index: number): Want => ({
		kind: "manifest",
		digest,
		index,
		take(bytes, header) {
			const size = header.size ?? 0;
			if (size < 1 || size > MANIFEST_MAX_BYTES) return false;
			whole ??= Buffer.alloc(size);
			if (whole.byteLength !== size) return false;
			if (bytes.byteLength !== blockLength(size, index)) return false;
			whole.set(bytes, index * BLOCK_BYTES);
			signature = header.signature ?? signature;
			return true;
		},
	});
	await fetcher.fetch([want(0)], signal);
	const rest = blockCount(whole?.byteLength ?? 0) - 1;
	await fetcher.fetch(
		Array.from({ length: Math.max(0, rest) }, (_, i) => want(i + 1)),
		signal,
	);
	if (!whole) throw new WattvoxError("E_BUG", "no manifest came");
	return { bytes: whole, signature: Buffer.from(signature, "utf8") };
}

/** Blocks asked for under one reservation: 4 MiB. */
const SLICE_BLOCKS = 64;
/** What a block costs at most, its header included. */
const BLOCK_COST = BLOCK_BYTES + 512;

/** Fetches within the budget: reserves before it asks, settles with what came. */
async function fetchWithin(
	fetcher: BlockFetcher,
	wants: Want[],
	{ budget }: PullOptions,
	signal: AbortSignal,
): Promise<void> {
	if (!budget) return fetcher.fetch(wants, signal);
	for (let at = 0; at < wants.length; ) {
		const most = Math.min(SLICE_BLOCKS, wants.length - at) * BLOCK_COST;
		const reserved = await budget.reserve(most);
		const count = Math.max(1, Math.floor(reserved / BLOCK_COST));
		const before = fetcher.counters.received;
		try {
			await fetcher.fetch(wants.slice(at, at + count), signal);
		} finally {
			await budget.settle(reserved, fetcher.counters.received - before);
		}
		at += count;
	}
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
	let missing = 0;
	let done = 0;
	// the first failure to put a file in place ends the fetching of the others
	const failed = new AbortController();
	const either = signal
		? AbortSignal.any([signal, failed.signal])
		: failed.signal;
	const complete = new Set<PartialBlob>();
	const finish = (part: PartialBlob, file: BundleFile) => {
		// blocks that were flushed together all see that nothing is missing any more
		if (complete.has(part)) return;
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
		await checkRoom(into, open);
		const copiedBytes = await copyKnownBlocks(into, open, signal);
		for (const { part, file } of open) {
			for (const index of part.missing()) {
				const length = blockLength(file.size, index);
				missing += length;
				wants.push({
					kind: "blob",
					digest: file.sha256,
					index,
					async take(bytes) {
						if (!(await part.write(index, bytes))) return false;
						done += length;
						onProgress?.(totalBytes - missing + done, totalBytes);
						if (part.missingCount === 0) finish(part, file);
						return true;
					},
				});
			}
			if (part.missingCount === 0) finish(part, file);
		}
		onProgress?.(totalBytes - missing, totalBytes);
		await fetchWithin(fetcher, wants, options, either);
		await Promise.all(finishing);
		return { keptBytes: totalBytes - missing, copiedBytes };
	} finally {
		await Promise.allSettled(finishing);
		for (const part of parts) await part.close();
	}
}

async function checkRoom(
	into: FolderStore,
	open: readonly { part: PartialBlob; file: BundleFile }[],
): Promise<void> {
	let bytes = 0;
	for (const { part, file } of open)
		for (const index of part.missing()) bytes += blockLength(file.size, index);
	const free = await into.free();
	if (free < bytes)
		throw new WattvoxError(
			"E_DISK_FULL",
			`${bytes} bytes are to come and ${free} are free in ${into.root}`,
		);
}
