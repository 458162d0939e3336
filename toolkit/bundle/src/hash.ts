import { createHash } from "node:crypto";
import type { FileHandle } from "node:fs/promises";
import { openPlain } from "./disk.ts";
import { BLOCK_BYTES, sha256 } from "./names.ts";

/** What a manifest says of a file's bytes. */
export interface FileHashes {
	/** Bytes. */
	size: number;
	/** Of the whole file, hex. */
	sha256: string;
	/** Of every 64 KiB block, hex. */
	blocks: string[];
}

const READ_BLOCKS = 16;

/**
 * Hashes a file from its start, whole and by block, in pieces of at most 1 MiB.
 * @param to also written there, byte for byte
 * @throws the signal's reason; system errors of reading and writing
 */
export async function hashFile(
	from: FileHandle,
	options: { to?: FileHandle; signal?: AbortSignal } = {},
): Promise<FileHashes> {
	const whole = createHash("sha256");
	const blocks: string[] = [];
	const size = await readPieces(from, options.signal, async (piece) => {
		whole.update(piece);
		for (let at = 0; at < piece.byteLength; at += BLOCK_BYTES)
			blocks.push(sha256(piece.subarray(at, at + BLOCK_BYTES)));
		await options.to?.writeFile(piece);
	});
	return { size, sha256: whole.digest("hex"), blocks };
}

/**
 * Hashes a regular file, whole and by block.
 * @throws WattvoxError E_FILE_MISSING, E_TAMPERED (not a regular file); the signal's reason; system errors
 */
export async function hashPath(
	path: string,
	signal?: AbortSignal,
): Promise<FileHashes> {
	const handle = await openPlain(path);
	try {
		return await hashFile(handle, signal ? { signal } : {});
	} finally {
		await handle.close();
	}
}

/** SHA-256 of a whole file, hex: half the work of {@link hashFile}. */
export async function hashWhole(
	from: FileHandle,
	signal?: AbortSignal,
): Promise<string> {
	const whole = createHash("sha256");
	await readPieces(from, signal, (piece) => {
		whole.update(piece);
	});
	return whole.digest("hex");
}

/**
 * The next piece is read while one is taken.
 * @param take is done with the piece when it resolves: the buffer is used again
 */
async function readPieces(
	from: FileHandle,
	signal: AbortSignal | undefined,
	take: (piece: Buffer) => void | Promise<void>,
): Promise<number> {
	let ahead = Buffer.allocUnsafeSlow(READ_BLOCKS * BLOCK_BYTES);
	let other = Buffer.allocUnsafeSlow(READ_BLOCKS * BLOCK_BYTES);
	let size = 0;
	const readOn = () => {
		const read = readFully(from, ahead, size);
		// its failure is thrown where it is waited for
		read.catch(() => undefined);
		return read;
	};
	let next = readOn();
	for (;;) {
		const piece = await next;
		size += piece.byteLength;
		signal?.throwIfAborted();
		if (piece.byteLength === 0) return size;
		[ahead, other] = [other, ahead];
		next = readOn();
		try {
			await take(piece);
		} catch (thrown) {
			// nobody may close the file under a read
			await next.catch(() => undefined);
			throw thrown;
		}
	}
}

/** Hashes bytes in memory. */
export function hashBytes(bytes: Uint8Array): FileHashes {
	const blocks: string[] = [];
	for (let at = 0; at < bytes.byteLength; at += BLOCK_BYTES)
		blocks.push(sha256(bytes.subarray(at, at + BLOCK_BYTES)));
	return { size: bytes.byteLength, sha256: sha256(bytes), blocks };
}

/** Fills as much of `buffer` as the file has from `position` on. */
export async function readFully(
	from: FileHandle,
	buffer: Buffer,
	position: number,
): Promise<Buffer> {
	let have = 0;
	while (have < buffer.byteLength) {
		const { bytesRead } = await from.read(
			buffer,
			have,
			buffer.byteLength - have,
			position + have,
		);
		if (bytesRead === 0) break;
		have += bytesRead;
	}
	return buffer.subarray(0, have);
}
