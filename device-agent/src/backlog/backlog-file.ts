import { randomBytes } from "node:crypto";
import { type FileHandle, open, readFile } from "node:fs/promises";
import { crc32 } from "node:zlib";
import { outputError, writeAtomic } from "@wattvox/core";
import { type Lost, zLost } from "@wattvox/link";
import { z } from "zod";
import { type Entry, NOTHING_LOST, zEntry } from "./entries.ts";

const zHead = z.object({ v: z.literal(1), log: z.string(), lost: zLost });
/** The first line: which backlog this is, and what it had to give up. */
export type Head = z.infer<typeof zHead>;

/** A backlog as it was found. */
export interface Found {
	head: Head;
	entries: Entry[];
	/** Lines that could not be read back, the first included. */
	damaged: number;
}

/**
 * A backlog's file: a head, then entries, a line of JSON each, with its CRC-32 in front:
 * ```
 * 8 hex digits of CRC-32, space, JSON, line feed
 * ```
 *
 * INVARIANTS
 * - What is appended is on its way to the disk at once, so it survives the end of the process; after
 *   {@link sync} it survives a power cut.
 * - A line that was cut off or changed is left out when the file is read; every other one counts.
 * - After a write that failed the file is written anew before anything is appended to it.
 */
export class BacklogFile {
	readonly #path: string;
	#handle: FileHandle | undefined;
	#bytes = 0;
	#dirty = false;

	constructor(path: string) {
		this.#path = path;
	}

	/** Its size; 0 while it has to be written anew. */
	get bytes(): number {
		return this.#bytes;
	}

	/** What an earlier process left. */
	async read(): Promise<Found> {
		const text = await readFile(this.#path, "utf8").catch(() => "");
		const [first = "", ...rest] = text.split("\n");
		const head = zHead.safeParse(parsed(first));
		let damaged = text === "" || head.success ? 0 : 1;
		const entries: Entry[] = [];
		for (const line of rest) {
			if (line === "") continue;
			const entry = zEntry.safeParse(parsed(line));
			if (entry.success) entries.push(entry.data as Entry);
			else damaged++;
		}
		return { head: head.success ? head.data : newHead(), entries, damaged };
	}

	/** Replaces the whole file. @throws WattvoxError E_OUTPUT, E_DISK_FULL */
	async write(head: Head, entries: readonly Entry[]): Promise<void> {
		await this.#close();
		this.#bytes = 0;
		const text = [head, ...entries].map(line).join("");
		await writeAtomic(this.#path, text);
		this.#dirty = false;
		this.#bytes = Buffer.byteLength(text);
	}

	/** @throws WattvoxError E_OUTPUT, E_DISK_FULL; then it has to be written anew */
	async append(entries: readonly Entry[]): Promise<void> {
		const text = entries.map(line).join("");
		await this.#do(async (handle) => {
			await handle.writeFile(text);
			this.#dirty = true;
			this.#bytes += Buffer.byteLength(text);
		});
	}

	/** Leaves the head alone, which is its first line. Needs no flush: what comes back is known already. */
	async clear(head: Head): Promise<void> {
		const size = Buffer.byteLength(line(head));
		await this.#do(async (handle) => {
			await handle.truncate(size);
			this.#dirty = false;
			this.#bytes = size;
		});
	}

	/** Resolves when what was appended survives a power cut. @throws WattvoxError E_OUTPUT, E_DISK_FULL */
	async sync(): Promise<void> {
		if (!this.#dirty) return;
		await this.#do((handle) => handle.datasync());
		this.#dirty = false;
	}

	/** @throws WattvoxError E_OUTPUT, E_DISK_FULL */
	async close(): Promise<void> {
		try {
			await this.sync();
		} finally {
			await this.#close();
		}
	}

	async #do(work: (handle: FileHandle) => Promise<void>): Promise<void> {
		try {
			this.#handle ??= await open(this.#path, "a");
			await work(this.#handle);
		} catch (thrown) {
			this.#bytes = 0;
			await this.#close();
			throw outputError(this.#path, thrown);
		}
	}

	async #close(): Promise<void> {
		const handle = this.#handle;
		this.#handle = undefined;
		await handle?.close().catch(() => undefined);
	}
}

/** Of a backlog that begins. */
export function newHead(): Head {
	return { v: 1, log: randomBytes(8).toString("hex"), lost: NOTHING_LOST };
}

/** A new total of what was lost. */
export function headWith(head: Head, lost: Lost): Head {
	return { ...head, lost };
}

function line(value: Head | Entry): string {
	const json = JSON.stringify(value);
	return `${check(json)} ${json}\n`;
}

function parsed(text: string): unknown {
	const json = text.slice(9);
	if (text.slice(0, 9) !== `${check(json)} `) return undefined;
	try {
		return JSON.parse(json);
	} catch {
		return undefined;
	}
}

function check(json: string): string {
	return crc32(json).toString(16).padStart(8, "0");
}
