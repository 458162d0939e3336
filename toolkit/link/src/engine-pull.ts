import { dirname } from "node:path";
import {
	checkTrustTime,
	ENGINE_HEAD_MAX_BYTES,
	type EngineHead,
	PartialBlob,
	readEngineHead,
	systemDisk,
	type Trust,
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

/** Where an engine's bytes are put together, and where they go when they are all there. */
export interface EnginePlace {
	part: string;
	plan: string;
}

export interface EnginePullOptions extends FetchOptions {
	/** The engine wanted: SHA-256 of its key. */
	name: string;
	/** Whose builder keys count. */
	trust: Trust;
	/**
	 * Says where a verified engine goes; null: it is here already. What it throws ends the pull before
	 * anything of the engine came.
	 */
	place: (head: EngineHead) => Promise<EnginePlace | null>;
	/** What this device may receive; unlimited without. */
	budget?: Budget;
	signal?: AbortSignal;
	/** Told as blocks arrive: bytes on disk, and of the whole engine. */
	onProgress?: (done: number, total: number) => void;
}

export interface PulledEngine {
	head: EngineHead;
	/** The head as it was signed. */
	bytes: Buffer;
	/** Bytes of the engine that were there before: from an interrupted attempt, or all of them. */
	keptBytes: number;
	counters: FetchCounters;
}

/**
 * Brings an engine: its head, whose signature is verified before it is parsed; then the blocks that are
 * missing, each held to its signed hash before it is written. The plan has its name only when all of it is
 * on disk and was hashed from there. Interrupted at any point, a later pull goes on from the blocks on disk.
 * Nothing of the engine itself is looked at.
 * @throws WattvoxError E_SIGNATURE, E_TAMPERED, E_EXPIRED (the root), E_FILE_FORMAT, E_PULL (there is none),
 *   E_TIMEOUT, E_BROKER, E_BUDGET, E_DISK_FULL, E_OUTPUT; what `place` throws; the signal's reason
 */
export async function pullEngine(
	options: EnginePullOptions,
): Promise<PulledEngine> {
	const { name, trust, signal, budget, onProgress } = options;
	const { clock = systemClock } = options;
	checkTrustTime(trust, clock.wall());
	const fetcher = new BlockFetcher(options);
	const most = ENGINE_HEAD_MAX_BYTES;
	const { bytes } = await fetchWhole(fetcher, "engine", name, most, signal);
	const head = readEngineHead(bytes, trust);
	if (head.name !== name)
		throw new WattvoxError("E_TAMPERED", `this is not engine ${name}`);
	const { counters } = fetcher;
	const at = await options.place(head);
	if (!at) return { head, bytes, keptBytes: head.size, counters };
	const part = await PartialBlob.open(at.part, head, signal ? { signal } : {});
	try {
		const dir = dirname(at.part);
		checkRoom([{ part }], await systemDisk.free(dir), dir);
		const keptBytes = head.size - part.missingBytes;
		const wants = part.missing().map(
			(index): Want => ({
				kind: "blob",
				digest: head.sha256,
				index,
				take: (block) => part.take(index, block),
			}),
		);
		const tell = () => onProgress?.(head.size - part.missingBytes, head.size);
		tell();
		await fetchWithin(fetcher, wants, budget, signal, async () => {
			await part.flush();
			tell();
		});
		await part.finish(at.plan, signal);
		return { head, bytes, keptBytes, counters };
	} finally {
		await part.close();
	}
}
