import { openPlain } from "./disk.ts";
import { readFully } from "./hash.ts";

/** Of a regular file: opening it and asking for its size cost as much as reading half of this. */
const PIECE_BYTES = 4 << 20;

/** A file that was damaged may be mended by then, ms. */
const KEPT_MS = 30_000;

/** Reads up to `length` bytes from `position`; fewer at the end. */
export type ReadPiece = (
	path: string,
	position: number,
	length: number,
) => Promise<Buffer>;

/**
 * Reads files that change only when they are mended, in large pieces, and keeps the last few for a while: who asks for one block
 * asks for its neighbours next, and so do the other devices. Opening the file for every block cost
 * more than reading it.
 */
export class ReadAhead {
	readonly #pieces = new Map<string, { piece: Promise<Buffer>; at: number }>();
	readonly #limit: number;
	readonly #bytes: number;
	readonly #read: ReadPiece;
	readonly #now: () => number;

	/**
	 * @param limit pieces kept, at least 1
	 * @param bytes of a piece, a multiple of a block
	 * @param read where a piece comes from; default: a regular file
	 * @param now monotonic time, ms
	 */
	constructor(
		limit = 4,
		bytes = PIECE_BYTES,
		read: ReadPiece = readPiece,
		now: () => number = () => performance.now(),
	) {
		this.#limit = limit;
		this.#bytes = bytes;
		this.#read = read;
		this.#now = now;
	}

	/**
	 * Up to `length` bytes from `position`, which must not straddle two pieces.
	 * @returns a view on shared memory: not to be written to; shorter at the file's end
	 * @throws as `openPlain`
	 */
	async read(path: string, position: number, length: number): Promise<Buffer> {
		const index = Math.floor(position / this.#bytes);
		const key = `${index} ${path}`;
		const known = this.#pieces.get(key);
		const kept =
			known && this.#now() - known.at < KEPT_MS
				? known
				: this.#begin(key, path, index);
		this.#pieces.delete(key);
		this.#pieces.set(key, kept);
		for (const oldest of this.#pieces.keys()) {
			if (this.#pieces.size <= this.#limit) break;
			this.#pieces.delete(oldest);
		}
		const at = position - index * this.#bytes;
		return (await kept.piece).subarray(at, at + length);
	}

	#begin(key: string, path: string, index: number) {
		const piece = this.#read(path, index * this.#bytes, this.#bytes);
		const begun = { piece, at: this.#now() };
		// what is not there, or cannot be read, is told to those who wait for it and is not remembered
		const forget = () => {
			if (this.#pieces.get(key) === begun) this.#pieces.delete(key);
		};
		piece.then(({ byteLength }) => {
			if (byteLength === 0) forget();
		}, forget);
		return begun;
	}
}

async function readPiece(
	path: string,
	at: number,
	most: number,
): Promise<Buffer> {
	const handle = await openPlain(path);
	try {
		const { size } = await handle.stat();
		const length = Math.max(0, Math.min(most, size - at));
		return await readFully(handle, Buffer.allocUnsafeSlow(length), at);
	} finally {
		await handle.close();
	}
}
