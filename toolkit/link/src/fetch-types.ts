import type { Clock } from "@wattvox/core";
import type { Link } from "./client.ts";
import type { BlockHeader, Pull } from "./messages.ts";
import type { Lane } from "./topics.ts";

/** One block that is wanted. */
export interface Want {
	kind: Pull["kind"];
	digest: string;
	index: number;
	/**
	 * Takes the block. It counts as here once the `keep` of the fetch that began after this has ended.
	 * @returns false when it is not what was signed
	 */
	take(bytes: Uint8Array, header: BlockHeader): boolean | Promise<boolean>;
}

/** The part of a {@link Link} that fetching needs. */
export type Channel = Pick<
	Link,
	"ready" | "onReady" | "onLost" | "publish" | "subscribe"
>;

/** Blocks that will be asked for once more, of one {@link Pull.id}. */
export interface Again {
	/** The id that its requests carry. */
	pull: string;
	/**
	 * `damaged`: not what was signed. `refused`: the store could not answer. `lost`: the connection went.
	 * `silence`: nothing came for too long. `overtaken`: later answers came past them.
	 */
	why: "damaged" | "refused" | "lost" | "silence" | "overtaken";
	/** How many. */
	blocks: number;
}

export interface FetchOptions {
	link: Channel;
	fleet: string;
	device: string;
	store: string;
	/** Where blocks are asked for and come. Default: {@link PULL_LANE}. */
	lane?: Lane;
	/** Blocks asked for and not yet on disk, at most. Default 256, which is 16 MiB; begins with 32. */
	window?: number;
	/** Silence of the store after which blocks are asked for again, milliseconds. Default 5000, doubling. */
	stallMs?: number;
	/** How many silences in a row before giving up. Default 6. */
	stallLimit?: number;
	/** Longest time without a broker, milliseconds. Default 60 000. */
	offlineMs?: number;
	/** How often one block may come damaged before it is called tampered with. Default 3. */
	tamperLimit?: number;
	/** While this says true, one block at a time: the link and the processor are wanted elsewhere. */
	busy?: () => boolean;
	/** Told before blocks are asked for again that may have been sent: for logs and accounts. */
	onAgain?: (again: Again) => void;
	clock?: Clock;
	/** Uniform in [0, 1). */
	random?: () => number;
}

export interface FetchCounters {
	/** Request messages sent. */
	requests: number;
	/** Blocks asked for, repeats included. */
	asked: number;
	/** Good blocks taken. */
	blocks: number;
	/** Their bytes. */
	bytes: number;
	/** Bytes of every answer, the useless ones included: what the link was charged. */
	received: number;
	/** Answers to nothing asked, repeats included. */
	stray: number;
	/** Blocks that were not what was signed. */
	tampered: number;
	/** Silences of the store. */
	stalls: number;
	/** Times the broker was lost. */
	lost: number;
}
