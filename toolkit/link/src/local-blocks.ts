import {
	type BundleFile,
	type FolderStore,
	type PartialBlob,
	parseManifest,
} from "@wattvox/bundle";

/** Blocks: 4 MiB. */
const COPIED_AT_ONCE = 64;

/** A file that is being put together. */
export interface Open {
	part: PartialBlob;
	file: BundleFile;
}

/**
 * Takes blocks that are missing from files of other bundles here that have the same ones, whatever
 * their place: a model of which a part changed moves that part alone. Each is held to its hash like
 * one that came over the link, so a damaged neighbour only means that it comes from the store.
 * @returns bytes copied
 * @throws WattvoxError E_OUTPUT, E_DISK_FULL; the signal's reason
 */
export async function copyKnownBlocks(
	into: FolderStore,
	open: readonly Open[],
	signal?: AbortSignal,
): Promise<number> {
	const wanted = new Map<string, { part: PartialBlob; index: number }[]>();
	for (const { part, file } of open)
		for (const index of part.missing()) {
			const hash = file.blocks[index];
			if (hash === undefined) continue;
			const places = wanted.get(hash);
			if (places) places.push({ part, index });
			else wanted.set(hash, [{ part, index }]);
		}
	let copied = 0;
	/** Copies under way, by the hash of their block: those that go together share a flush. */
	const batch = new Map<string, Promise<void>>();
	const copy = async (hash: string, from: BundleFile, index: number) => {
		const block = await into.readBlock(from.sha256, index);
		if (!block) return;
		const places = wanted.get(hash) ?? [];
		const wrote = await Promise.all(
			places.map(({ part, index: to }) => part.write(to, block)),
		);
		copied += block.byteLength * wrote.filter(Boolean).length;
		// a block that was not what its manifest says may be found whole elsewhere
		if (wrote.every(Boolean)) wanted.delete(hash);
	};
	const settle = async () => {
		const ends = await Promise.allSettled(batch.values());
		batch.clear();
		for (const end of ends) if (end.status === "rejected") throw end.reason;
		signal?.throwIfAborted();
	};
	const seen = new Set<string>();
	for (const digest of wanted.size > 0 ? await into.bundles() : []) {
		const found = await into.readManifest(digest);
		if (!found) continue;
		for (const file of parseManifest(found.bytes).files) {
			if (seen.has(file.sha256)) continue;
			seen.add(file.sha256);
			for (const [index, hash] of file.blocks.entries()) {
				if (batch.has(hash) || batch.size >= COPIED_AT_ONCE) await settle();
				if (!wanted.has(hash)) continue;
				const copying = copy(hash, file, index);
				// its failure is thrown where it is waited for
				copying.catch(() => undefined);
				batch.set(hash, copying);
			}
		}
	}
	await settle();
	return copied;
}
