import { constants } from "node:fs";
import { type FileHandle, mkdir, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { outputError, SharedRun, syncDir, WattvoxError } from "@wattvox/core";
import { type Disk, systemDisk } from "./disk.ts";
import { hashWhole, readFully } from "./hash.ts";
import type { BundleFile } from "./manifest.ts";
import { BLOCK_BYTES, blockCount, blockLength, sha256 } from "./names.ts";

type Wanted = Pick<BundleFile, "size" | "sha256" | "blocks">;

/**
 * A file that arrives block by block, in any order, over any number of attempts.
 *
 * INVARIANTS
 * - A block counts as present only after its bytes were found to have the signed hash.
 * - The file on disk is its own record of what is present: `open` hashes what it finds. A separate
 *   bitmap could disagree with the data after a power cut; this cannot.
 * - A block is present once a flush that began after it was written has ended; blocks written while one
 *   flush runs share the next. So a power cut loses no block that was called present.
 * - After a flush that failed nothing more is called present, and the part file goes: what the system
 *   still shows of it may never reach the disk.
 * - The target name exists only once the whole file is on disk and was hashed from there.
 */
export class PartialBlob {
	readonly #path: string;
	readonly #file: Wanted;
	readonly #handle: FileHandle;
	readonly #present: boolean[];
	#missing: number;
	#missingBytes: number;

	private constructor(
		path: string,
		file: Wanted,
		handle: FileHandle,
		present: boolean[],
	) {
		this.#path = path;
		this.#file = file;
		this.#handle = handle;
		this.#present = present;
		const missing = this.missing();
		this.#missing = missing.length;
		this.#missingBytes = missing.reduce(
			(sum, index) => sum + blockLength(file.size, index),
			0,
		);
	}

	/**
	 * Opens or creates the part file and finds the blocks that an earlier attempt left in it.
	 * @throws WattvoxError E_OUTPUT, E_DISK_FULL; the signal's reason
	 */
	static async open(
		path: string,
		file: Wanted,
		options: { disk?: Disk; signal?: AbortSignal } = {},
	): Promise<PartialBlob> {
		let handle: FileHandle | undefined;
		try {
			await mkdir(dirname(path), { recursive: true });
			handle = await (options.disk ?? systemDisk).open(
				path,
				constants.O_RDWR | constants.O_CREAT,
				0o644,
			);
			// a name that a power cut takes away takes all blocks along
			if ((await handle.stat()).size === 0) await syncDir(dirname(path));
			// a process that was killed may have left what it had not flushed
			else await handle.datasync();
			const present = await scan(handle, file, options.signal);
			return new PartialBlob(path, file, handle, present);
		} catch (thrown) {
			await handle?.close();
			options.signal?.throwIfAborted();
			throw outputError(path, thrown);
		}
	}

	/** How many blocks are still to come. */
	get missingCount(): number {
		return this.#missing;
	}

	/** And how many bytes. */
	get missingBytes(): number {
		return this.#missingBytes;
	}

	/** Indices of the blocks still to come, ascending. */
	missing(): number[] {
		return this.#present.flatMap((p, i) => (p ? [] : [i]));
	}

	has(index: number): boolean {
		return this.#present[index] === true;
	}

	/** Whether `bytes` are what was signed as block `index`. */
	matches(index: number, bytes: Uint8Array): boolean {
		return (
			bytes.byteLength === blockLength(this.#file.size, index) &&
			sha256(bytes) === this.#file.blocks[index]
		);
	}

	/**
	 * Takes one block and brings it to disk. `bytes` belongs to this until the promise settles.
	 * @returns false when it is not what was signed; nothing is written then
	 * @throws WattvoxError E_OUTPUT, E_DISK_FULL
	 */
	async write(index: number, bytes: Uint8Array): Promise<boolean> {
		if (!this.take(index, bytes)) return false;
		await this.flush();
		return true;
	}

	/**
	 * Takes one block, which the next {@link flush} brings to disk. `bytes` belongs to this until then.
	 * @returns false when it is not what was signed, and is not taken
	 */
	take(index: number, bytes: Uint8Array): boolean {
		if (!this.matches(index, bytes)) return false;
		this.#taken.set(index, bytes);
		return true;
	}

	/**
	 * Brings to disk what was taken. Others may be taken meanwhile, and written while this is flushed.
	 * @throws WattvoxError E_OUTPUT, E_DISK_FULL; after a flush that failed, always
	 */
	async flush(): Promise<void> {
		try {
			await this.#writes.run();
			await this.#flushes.run();
		} catch (thrown) {
			throw outputError(this.#path, thrown);
		}
	}

	/** Blocks that are not written yet. */
	#taken = new Map<number, Uint8Array>();
	/** Indices of blocks that are written and not flushed yet. */
	#written = new Set<number>();
	/** A flush that failed: what was written before it may never reach the disk, and nobody tells again. */
	#lost: { why: unknown } | undefined;

	readonly #writes: SharedRun = new SharedRun(async () => {
		const blocks = this.#taken;
		this.#taken = new Map();
		for (const run of runs(blocks))
			await writeRun(this.#handle, run.blocks, run.first * BLOCK_BYTES);
		for (const index of blocks.keys()) this.#written.add(index);
	});

	readonly #flushes: SharedRun = new SharedRun(async () => {
		const written = this.#written;
		this.#written = new Set();
		if (this.#lost) throw this.#lost.why;
		if (written.size === 0) return;
		try {
			await this.#handle.datasync();
		} catch (thrown) {
			this.#lost = { why: thrown };
			await rm(this.#path, { force: true });
			throw thrown;
		}
		for (const index of written) this.#keep(index);
	});

	#keep(index: number): void {
		if (this.#present[index]) return;
		this.#present[index] = true;
		this.#missing--;
		this.#missingBytes -= blockLength(this.#file.size, index);
	}

	/**
	 * Brings a complete file to disk, hashes it from there and gives it its name. Closes it.
	 * @throws WattvoxError E_TAMPERED (the disk gave back something else; the part is removed),
	 * E_OUTPUT, E_DISK_FULL, E_BUG (blocks are missing)
	 */
	async finish(target: string, signal?: AbortSignal): Promise<void> {
		try {
			if (this.#missing > 0)
				throw new WattvoxError("E_BUG", `${this.#path} is not complete`);
			// an earlier attempt may have left a longer file
			if ((await this.#handle.stat()).size !== this.#file.size) {
				await this.#handle.truncate(this.#file.size);
				await this.#handle.sync();
			}
			if ((await hashWhole(this.#handle, signal)) !== this.#file.sha256) {
				await rm(this.#path, { force: true });
				throw new WattvoxError(
					"E_TAMPERED",
					`blob ${this.#file.sha256.slice(0, 16)} has all its blocks but not its hash`,
				);
			}
			await mkdir(dirname(target), { recursive: true });
			await this.#handle.chmod(0o444);
			await rename(this.#path, target);
			await syncDir(dirname(target));
		} catch (thrown) {
			signal?.throwIfAborted();
			if (thrown instanceof WattvoxError) throw thrown;
			throw outputError(target, thrown);
		} finally {
			await this.close();
		}
	}

	#closed = false;
	/** Leaves the part file as it is, for a later attempt. Idempotent. */
	async close(): Promise<void> {
		if (this.#closed) return;
		this.#closed = true;
		await this.#handle.close();
	}
}

async function scan(
	handle: FileHandle,
	file: Wanted,
	signal?: AbortSignal,
): Promise<boolean[]> {
	const present = new Array<boolean>(blockCount(file.size)).fill(false);
	const { size } = await handle.stat();
	const buffer = Buffer.allocUnsafe(BLOCK_BYTES);
	for (let i = 0; i * BLOCK_BYTES < size && i < present.length; i++) {
		signal?.throwIfAborted();
		const length = blockLength(file.size, i);
		const block = await readFully(
			handle,
			buffer.subarray(0, length),
			i * BLOCK_BYTES,
		);
		present[i] =
			block.byteLength === length && sha256(block) === file.blocks[i];
	}
	return present;
}

interface Run {
	first: number;
	blocks: Uint8Array[];
}

/** Neighbouring blocks together, so that each run is one call. */
function runs(blocks: ReadonlyMap<number, Uint8Array>): Run[] {
	const found: Run[] = [];
	for (const [index, bytes] of [...blocks].sort(([a], [b]) => a - b)) {
		const last = found.at(-1);
		if (last && last.first + last.blocks.length === index)
			last.blocks.push(bytes);
		else found.push({ first: index, blocks: [bytes] });
	}
	return found;
}

/** Writes all of it: one call may take less than it was given. */
async function writeRun(
	handle: FileHandle,
	blocks: readonly Uint8Array[],
	position: number,
): Promise<void> {
	let left = [...blocks];
	let at = position;
	while (left.length > 0) {
		const { bytesWritten } = await handle.writev(left, at);
		at += bytesWritten;
		left = after(left, bytesWritten);
	}
}

/** What is left of `pieces` after their first `count` bytes. */
function after(pieces: readonly Uint8Array[], count: number): Uint8Array[] {
	let skip = count;
	return pieces.flatMap((piece) => {
		const gone = Math.min(skip, piece.byteLength);
		skip -= gone;
		return gone < piece.byteLength ? [piece.subarray(gone)] : [];
	});
}
