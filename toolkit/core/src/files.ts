import { randomBytes } from "node:crypto";
import { constants } from "node:fs";
import { access, mkdir, open, rename, rm, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { asWattvoxError, WattvoxError } from "./errors.ts";

/** Flushes a folder's entries to disk, so that a rename inside it survives a power cut. */
export async function syncDir(dir: string): Promise<void> {
	const handle = await open(dir, "r");
	try {
		await handle.sync();
	} finally {
		await handle.close();
	}
}

/**
 * Makes a folder and its missing parents. Node's own recursive mkdir never returns where the kernel
 * answers ENOENT for an existing parent, as below /proc.
 */
async function makeDirs(dir: string): Promise<void> {
	try {
		await mkdir(dir);
	} catch (thrown) {
		const { code } = thrown as NodeJS.ErrnoException;
		if (code === "EEXIST") {
			if ((await stat(dir)).isDirectory()) return;
			throw thrown;
		}
		const parent = dirname(dir);
		if (code !== "ENOENT" || parent === dir) throw thrown;
		await makeDirs(parent);
		await mkdir(dir).catch((again: NodeJS.ErrnoException) => {
			if (again.code !== "EEXIST") throw again;
		});
	}
}

/**
 * Writes a file whole or not at all: beside it, fsync, rename, fsync of the folder.
 * Missing parent folders are made. Data in pieces is written one after the other.
 * @throws WattvoxError E_OUTPUT (not writable), E_DISK_FULL
 */
export async function writeAtomic(
	path: string,
	data: string | Uint8Array | Iterable<Uint8Array>,
	mode?: number,
): Promise<void> {
	const dir = dirname(path);
	const aside = join(
		dir,
		`.${basename(path)}.${randomBytes(4).toString("hex")}.tmp`,
	);
	try {
		await makeDirs(dir);
		const handle = await open(aside, "w", mode);
		try {
			const whole = typeof data === "string" || data instanceof Uint8Array;
			for (const piece of whole ? [data] : data) await handle.writeFile(piece);
			await handle.sync();
		} finally {
			await handle.close();
		}
		await rename(aside, path);
		await syncDir(dir);
	} catch (thrown) {
		await rm(aside, { force: true }).catch(() => undefined);
		throw outputError(path, thrown);
	}
}

/**
 * Makes an output folder and proves that it can be written to, before long work starts.
 * @throws WattvoxError E_OUTPUT, E_DISK_FULL
 */
export async function ensureWritableDir(dir: string): Promise<void> {
	try {
		await makeDirs(dir);
		await access(dir, constants.W_OK | constants.X_OK);
		const probe = join(dir, `.probe.${randomBytes(4).toString("hex")}`);
		await (await open(probe, "wx")).close();
		await rm(probe);
	} catch (thrown) {
		throw outputError(dir, thrown);
	}
}

/** A failed write to `path`, coded: E_DISK_FULL as it is, everything else E_OUTPUT. */
export function outputError(path: string, thrown: unknown): WattvoxError {
	const error = asWattvoxError(thrown);
	const code = error.code === "E_DISK_FULL" ? error.code : "E_OUTPUT";
	return new WattvoxError(code, `cannot write ${path}: ${error.message}`, {
		cause: thrown,
	});
}
