import type { BlockSource } from "@wattvox/bundle";
import { BLOCK_BYTES } from "@wattvox/bundle";
import { checkId } from "@wattvox/core";
import type { Channel } from "./fetch-types.ts";
import {
	type BlockHeader,
	decode,
	encodeBlock,
	type Pull,
	zPull,
} from "./messages.ts";
import { filter, type Lane, PULL_LANE, parseTopic, topic } from "./topics.ts";

export interface BlockServerOptions {
	link: Pick<Channel, "onLost" | "publish" | "subscribe">;
	source: BlockSource;
	/** The store's id: requests that name another store are not ours. */
	store: string;
	/** Default: every fleet on this broker. */
	fleet?: string;
	/** Answers under this device's name alone; needs `fleet`. Default: every device. */
	device?: string;
	/** Where blocks are asked for and go. Default: {@link PULL_LANE}. */
	lane?: Lane;
	/** Blocks being read or sent at once: memory is bounded by this times 64 KiB. Default 8. */
	concurrency?: number;
	/** Blocks that one device may have waiting here. Default 256. */
	queueLimit?: number;
	/** Blocks that all devices together may have waiting here, some 200 bytes each. Default 65 536. */
	totalLimit?: number;
}

/** Refusals that may be on their way at once: a flood of requests must not become one of answers that wait. */
const REFUSALS = 1024;
/** The last block that a file may have: its place has to be a number of bytes. */
const LAST_BLOCK = Math.floor(Number.MAX_SAFE_INTEGER / BLOCK_BYTES) - 1;

interface Found {
	bytes: Uint8Array;
	extra: Pick<BlockHeader, "size" | "signature">;
}

type Job = Pick<BlockHeader, "id" | "kind" | "digest" | "index">;

/**
 * Answers requests for blocks, always on the topic derived from the request's own topic: a device
 * cannot make the store write anywhere else. Devices take turns, block by block.
 */
export class BlockServer {
	readonly counters = {
		requests: 0,
		/** Not parsed: anybody may write to a topic. */
		invalid: 0,
		blocks: 0,
		bytes: 0,
		/** Answered with an error. */
		refused: 0,
		/** Asked for, and not sent because the connection went. */
		dropped: 0,
	};
	readonly #o: BlockServerOptions;
	readonly #lane: Lane;
	/** Waiting jobs by device topic, in the order of the devices' turns. */
	readonly #queues = new Map<string, Map<string, Job>>();
	#waiting = 0;
	#active = 0;
	#refusing = 0;
	#off: (() => void | Promise<void>)[] = [];
	#idle: (() => void)[] = [];

	constructor(options: BlockServerOptions) {
		checkId(options.store, "store id");
		this.#o = options;
		this.#lane = options.lane ?? PULL_LANE;
	}

	/** Starts to listen. @throws WattvoxError E_BROKER, E_DENIED */
	async start(signal?: AbortSignal): Promise<void> {
		const { fleet, device } = this.#o;
		this.#off.push(this.#o.link.onLost(() => this.#forget()));
		this.#off.push(
			await this.#o.link.subscribe(
				device === undefined
					? filter(this.#lane.ask, fleet)
					: topic(fleet ?? "", device, this.#lane.ask),
				(name, payload) => this.#request(name, payload),
				signal,
			),
		);
	}

	/** Stops listening, forgets what waits, and ends when what was under way has ended. Idempotent. */
	async stop(): Promise<void> {
		for (const off of this.#off.splice(0)) await off();
		this.#forget();
		if (this.#active > 0)
			await new Promise<void>((resolve) => this.#idle.push(resolve));
	}

	/** Whoever asked will ask again once it is back; answering both times would send blocks twice. */
	#forget(): void {
		for (const queue of this.#queues.values())
			this.counters.dropped += queue.size;
		this.#queues.clear();
		this.#waiting = 0;
	}

	#request(name: string, payload: Buffer): void {
		const from = parseTopic(name);
		const pull = decode(zPull, payload);
		if (!from || !pull) {
			this.counters.invalid++;
			return;
		}
		if (pull.store !== this.#o.store) return;
		this.counters.requests++;
		const to = topic(from.fleet, from.device, this.#lane.answer);
		const queue = this.#queues.get(to) ?? new Map<string, Job>();
		for (const job of jobs(pull)) {
			const key = `${job.kind} ${job.digest} ${job.index}`;
			const known = queue.has(key);
			const room =
				queue.size < (this.#o.queueLimit ?? 256) &&
				this.#waiting < (this.#o.totalLimit ?? 65_536);
			if (known || room) queue.set(key, job);
			if (!known && room) this.#waiting++;
			else if (!known) void this.#refuse(to, job, "busy");
		}
		if (queue.size > 0) this.#queues.set(to, queue);
		this.#pump();
	}

	#pump(): void {
		while (this.#active < (this.#o.concurrency ?? 8)) {
			const next = this.#next();
			if (!next) break;
			this.#active++;
			void this.#answer(...next).finally(() => {
				this.#active--;
				this.#pump();
				if (this.#active === 0) for (const done of this.#idle.splice(0)) done();
			});
		}
	}

	/** The first job of the device whose turn it is; that device then goes to the end of the row. */
	#next(): [string, Job] | undefined {
		for (const [to, queue] of this.#queues) {
			this.#queues.delete(to);
			for (const [key, job] of queue) {
				queue.delete(key);
				this.#waiting--;
				if (queue.size > 0) this.#queues.set(to, queue);
				return [to, job];
			}
		}
		return undefined;
	}

	async #answer(to: string, job: Job): Promise<void> {
		let found: Found | undefined;
		try {
			found = await this.#find(job);
		} catch {
			return this.#refuse(to, job, "failed");
		}
		if (!found) return this.#refuse(to, job, "unknown");
		try {
			const message = encodeBlock(
				{ v: 1, ...job, ...found.extra },
				found.bytes,
			);
			await this.#o.link.publish(to, message);
			this.counters.blocks++;
			this.counters.bytes += found.bytes.byteLength;
		} catch {
			this.counters.dropped++;
		}
	}

	/** The bytes of one block and what its header says beside them; undefined when there is none. */
	async #find(job: Job): Promise<Found | undefined> {
		if (job.index > LAST_BLOCK) return undefined;
		if (job.kind === "blob") {
			const bytes = await this.#o.source.readBlock(job.digest, job.index);
			return bytes && { bytes, extra: {} };
		}
		if (job.kind === "engine") {
			const head = await this.#o.source.readEngine?.(job.digest);
			return head && part(head, job.index);
		}
		const manifest = await this.#o.source.readManifest(job.digest);
		if (!manifest) return undefined;
		const found = part(manifest.bytes, job.index);
		const signature = manifest.signature.toString("utf8");
		return found && { ...found, extra: { ...found.extra, signature } };
	}

	/** Says no, unless too many of those wait to go out: to who hears nothing it is silence, and asks again. */
	async #refuse(
		to: string,
		job: Job,
		error: NonNullable<BlockHeader["error"]>,
	): Promise<void> {
		this.counters.refused++;
		if (this.#refusing >= REFUSALS) return;
		this.#refusing++;
		const message = encodeBlock({ v: 1, ...job, error });
		await this.#o.link.publish(to, message).catch(() => undefined);
		this.#refusing--;
	}
}

/** 64 KiB of something small that is signed as a whole. */
function part(whole: Buffer, index: number): Found | undefined {
	const bytes = whole.subarray(index * BLOCK_BYTES, (index + 1) * BLOCK_BYTES);
	if (bytes.byteLength === 0) return undefined;
	return { bytes, extra: { size: whole.byteLength } };
}

function jobs({ id, kind, digest, blocks }: Pull): Job[] {
	return blocks.map((index) => ({ id, kind, digest, index }));
}
