import {
	type BundleFile,
	type FolderStore,
	type PartialBlob,
	parseManifest,
} from "@wattvox/bundle";

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
	const seen = new Set<string>();
	for (const digest of wanted.size > 0 ? await into.bundles() : []) {
		const found = await into.readManifest(digest);
		if (!found) continue;
		for (const file of parseManifest(found.bytes).files) {
			if (seen.has(file.sha256)) continue;
			seen.add(file.sha256);
			for (const [index, hash] of file.blocks.entries()) {
				const places = wanted.get(hash);
				if (!places) continue;
				signal?.throwIfAborted();
				const block = await into.readBlock(file.sha256, index);
				if (!block) continue;
				for (const { part, index: to } of places)
					if (await part.write(to, block)) copied += block.byteLength;
				// a block that was not what its manifest says may be found whole elsewhere
				if (places.every(({ part, index: to }) => part.has(to)))
					wanted.delete(hash);
			}
		}
	}
	return copied;
}
