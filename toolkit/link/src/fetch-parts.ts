import {
	BLOCK_BYTES,
	blockCount,
	blockLength,
	type PartialBlob,
} from "@wattvox/bundle";
import { WattvoxError } from "@wattvox/core";
import type { BlockFetcher, Want } from "./fetch.ts";

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

/**
 * Fetches something small that is signed as a whole, part by part. Parts carry no hash of their own:
 * digest and signature judge the whole.
 * @param most bytes; what says that it is longer counts as damaged
 * @returns its bytes, and the signature that came beside them, empty where none did
 * @throws as `BlockFetcher.fetch`
 */
export async function fetchWhole(
	fetcher: BlockFetcher,
	kind: "manifest" | "engine",
	digest: string,
	most: number,
	signal?: AbortSignal,
): Promise<{ bytes: Buffer; signature: Buffer }> {
	let whole: Buffer | undefined;
	let signature = "";
	const want = (index: number): Want => ({
		kind,
		digest,
		index,
		take(bytes, header) {
			const size = header.size ?? 0;
			if (size < 1 || size > most) return false;
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
	if (!whole) throw new WattvoxError("E_BUG", `no ${kind} came`);
	return { bytes: whole, signature: Buffer.from(signature, "utf8") };
}

/** Blocks asked for under one reservation: 4 MiB. */
const SLICE_BLOCKS = 64;
/** What a block costs at most, its header included. */
const BLOCK_COST = BLOCK_BYTES + 512;

/**
 * Fetches within the budget: reserves before it asks, settles with what came.
 * @param keep as of {@link BlockFetcher.fetch}
 */
export async function fetchWithin(
	fetcher: BlockFetcher,
	wants: readonly Want[],
	budget: Budget | undefined,
	signal: AbortSignal | undefined,
	keep: () => Promise<void>,
): Promise<void> {
	if (!budget) return fetcher.fetch(wants, signal, keep);
	for (let at = 0; at < wants.length; ) {
		const most = Math.min(SLICE_BLOCKS, wants.length - at) * BLOCK_COST;
		const reserved = await budget.reserve(most);
		const count = Math.max(1, Math.floor(reserved / BLOCK_COST));
		const before = fetcher.counters.received;
		try {
			await fetcher.fetch(wants.slice(at, at + count), signal, keep);
		} finally {
			await budget.settle(reserved, fetcher.counters.received - before);
		}
		at += count;
	}
}

/**
 * Refuses to begin what cannot end.
 * @param free bytes that can be written there
 * @throws WattvoxError E_DISK_FULL
 */
export function checkRoom(
	open: readonly { part: PartialBlob }[],
	free: number,
	where: string,
): void {
	const bytes = open.reduce((sum, { part }) => sum + part.missingBytes, 0);
	if (free < bytes)
		throw new WattvoxError(
			"E_DISK_FULL",
			`${bytes} bytes are to come and ${free} are free in ${where}`,
		);
}
