import { randomBytes } from "node:crypto";
import { constants } from "node:fs";
import {
	type FileHandle,
	mkdir,
	open,
	readdir,
	rename,
	rm,
	rmdir,
	statfs,
} from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import {
	asWattvoxError,
	outputError,
	syncDir,
	WattvoxError,
} from "@wattvox/core";

/** The few calls that put bulk data on a disk: the seam where a test makes a disk fail. */
export interface Disk {
	/** Opens a regular file; a symbolic link is refused. */
	open(path: string, flags: number, mode?: number): Promise<FileHandle>;
	/** Bytes that this user may still write below `dir`. */
	free(dir: string): Promise<number>;
}

/** The machine's own disk. */
export const systemDisk: Disk = {
	open: (path, flags, mode) => open(path, flags | constants.O_NOFOLLOW, mode),
	async free(dir) {
		const { bavail, bsize } = await statfs(dir);
		return bavail * bsize;
	},
};

/**
 * Opens a regular file for reading. Links, folders and devices are refused, so a bundle cannot
 * point at anything outside itself.
 * @throws WattvoxError E_FILE_MISSING, E_TAMPERED (not a regular file)
 */
export async function openPlain(path: string): Promise<FileHandle> {
	let handle: FileHandle;
	try {
		// O_NONBLOCK: opening a named pipe must not wait for a writer
		handle = await systemDisk.open(
			path,
			constants.O_RDONLY | constants.O_NONBLOCK,
		);
	} catch (thrown) {
		if ((thrown as NodeJS.ErrnoException).code === "ELOOP")
			throw new WattvoxError("E_TAMPERED", `${path} is a symbolic link`);
		throw readError(path, thrown);
	}
	const info = await handle.stat();
	if (info.isFile()) return handle;
	await handle.close();
	throw new WattvoxError("E_TAMPERED", `${path} is not a regular file`);
}

/**
 * Reads a small regular file whole.
 * @throws WattvoxError E_FILE_MISSING, E_TAMPERED (not a regular file, or longer than `max` bytes)
 */
export async function readPlain(path: string, max: number): Promise<Buffer> {
	const handle = await openPlain(path);
	try {
		if ((await handle.stat()).size > max)
			throw new WattvoxError(
				"E_TAMPERED",
				`${path} is longer than ${max} bytes`,
			);
		return await handle.readFile();
	} finally {
		await handle.close();
	}
}

/**
 * Makes a folder whole or not at all: `fill` writes into a folder beside it, which is then renamed.
 * @param replace whether a folder of that name that holds these entries may be replaced
 * @throws WattvoxError E_OUTPUT, E_DISK_FULL
 */
export async function makeDirAtomic(
	target: string,
	fill: (dir: string) => Promise<void>,
	replace: (entries: string[]) => boolean,
): Promise<void> {
	const path = resolve(target);
	const parent = dirname(path);
	const suffix = randomBytes(4).toString("hex");
	const aside = join(parent, `.${basename(path)}.${suffix}.tmp`);
	const old = join(parent, `.${basename(path)}.${suffix}.old`);
	try {
		await mkdir(parent, { recursive: true });
		const entries = await readdir(path).catch((thrown) => {
			if (thrown.code === "ENOENT") return undefined;
			throw thrown;
		});
		if (entries?.length && !replace(entries))
			throw new WattvoxError("E_OUTPUT", "the folder is not empty");
		await mkdir(aside);
		await fill(aside);
		await syncDir(aside);
		if (entries?.length) await rename(path, old);
		else if (entries) await rmdir(path);
		await rename(aside, path);
		await syncDir(parent);
	} catch (thrown) {
		throw isRead(thrown) ? thrown : outputError(path, thrown);
	} finally {
		await rm(aside, { recursive: true, force: true }).catch(() => undefined);
		await rm(old, { recursive: true, force: true }).catch(() => undefined);
	}
}

/**
 * Removes a folder whole or not at all: it loses its name first. A folder that is not there is no error.
 * @param trash a folder on the same disk, whose names that begin with a dot mean nothing; default: beside it
 * @throws WattvoxError E_OUTPUT
 */
export async function removeDirAtomic(
	path: string,
	trash: string = dirname(path),
): Promise<void> {
	const suffix = randomBytes(4).toString("hex");
	const aside = join(trash, `.${basename(path)}.${suffix}.old`);
	try {
		await rename(path, aside);
		await rm(aside, { recursive: true, force: true });
	} catch (thrown) {
		if ((thrown as NodeJS.ErrnoException).code !== "ENOENT")
			throw outputError(path, thrown);
	}
}

/** Errors that `fill` met at what it read, which keep their own code. */
function isRead(thrown: unknown): boolean {
	return (
		thrown instanceof WattvoxError &&
		!["E_OUTPUT", "E_DISK_FULL"].includes(thrown.code)
	);
}

function readError(path: string, thrown: unknown): WattvoxError {
	const error = asWattvoxError(thrown);
	return new WattvoxError(
		"E_FILE_MISSING",
		`cannot read ${path}: ${error.message}`,
		{ cause: thrown },
	);
}
