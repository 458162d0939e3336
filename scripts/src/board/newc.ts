/** A file or folder of an archive. A folder has no bytes. */
export interface Entry {
	/** Without a slash at its head; folders come before what is in them. */
	path: string;
	/** Permissions, as 0o755. */
	mode: number;
	bytes?: Uint8Array;
}

const [DIRECTORY, FILE] = [0o040000, 0o100000];

/**
 * An archive as Linux takes it for its first root file system: cpio in the "newc" format, everything
 * owned by root (kernel.org, Documentation/driver-api/early-userspace/buffer-format).
 */
export function newc(entries: readonly Entry[]): Uint8Array {
	const parts = entries.flatMap(({ path, mode, bytes }, at) =>
		record(path, at + 1, (bytes ? FILE : DIRECTORY) | mode, bytes),
	);
	return Buffer.concat([...parts, ...record("TRAILER!!!", 0, 0)]);
}

function record(
	path: string,
	inode: number,
	mode: number,
	bytes: Uint8Array = new Uint8Array(),
): Uint8Array[] {
	const name = Buffer.from(`${path}\0`);
	// inode, mode, uid, gid, links, time, size, device, device of a node, length of the name, checksum
	const fields = [
		...[inode, mode, 0, 0, 1, 0, bytes.length, 0, 0, 0, 0],
		...[name.length, 0],
	];
	const head = Buffer.from(
		`070701${fields.map((n) => n.toString(16).padStart(8, "0")).join("")}`,
	);
	return [padded(Buffer.concat([head, name])), padded(bytes)];
}

/** Heads with their names, and contents, each end at a multiple of 4 bytes. */
function padded(bytes: Uint8Array): Uint8Array {
	const out = new Uint8Array(Math.ceil(bytes.length / 4) * 4);
	out.set(bytes);
	return out;
}
