import { createHash } from "node:crypto";
import fs from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";
import { basename, dirname, resolve, sep } from "node:path";

interface FileNode {
	kind: "file";
	data: Buffer;
	/** What the last flush left on the disk; null: it never was flushed. */
	flushed: Buffer | null;
}
interface DirNode {
	kind: "dir";
	entries: Map<string, Node>;
	flushed: Map<string, Node>;
}
type Node = FileNode | DirNode;

/** What a power cut leaves of what was not flushed. */
export type Cut =
	/** No name and no byte. */
	| "nothing"
	/** Names survive, their bytes are zeros: what file systems do that order names before data. */
	| "names";

/** A disk after a power cut. */
export interface Left {
	/** Equal for equal contents. */
	id: string;
	/** Writes it into an empty folder. */
	write(to: string): Promise<void>;
}

/** What a campaign on it found. */
export interface Findings {
	/** Faults that were tried. */
	faults: number;
	violations: string[];
}

const handles = new WeakMap<object, { node: FileNode | DirNode }>();

/**
 * Watches what a process does below one folder and knows what a power cut would leave of it. Every
 * call works on the real disk as well. Files, renames, links and removals need a flush of their folder,
 * bytes one of their file. A folder that was made is there after a flush of itself, of its parent or of a
 * folder in it: ext4, XFS, Btrfs and F2FS order a folder's creation before what is flushed in it.
 *
 * It takes the place of `node:fs/promises` in this whole process: one at a time.
 */
export class SimulatedDisk {
	readonly #root: string;
	readonly #top: DirNode = {
		kind: "dir",
		entries: new Map(),
		flushed: new Map(),
	};
	readonly #real = { ...fs };
	/** Told after every operation that changes what a power cut would leave. */
	onChange: (what: string) => void = () => undefined;

	readonly #links: boolean;

	/** @param links whether it knows hard links, as FAT does not */
	constructor(root: string, links = true) {
		this.#root = resolve(root);
		this.#links = links;
	}

	/** Takes over. */
	install(): void {
		const real = this.#real;
		Object.assign(fs, {
			open: async (path: string, flags?: string | number, mode?: number) => {
				const before = this.#find(path);
				const handle = await real.open(path, flags, mode);
				const node = await this.#opened(path, before, flags);
				if (node) this.#watch(handle, node, path);
				return handle;
			},
			mkdir: async (path: string, options?: object) => {
				const made = await real.mkdir(path, options);
				this.#makeDirs(path);
				return made;
			},
			rename: async (from: string, to: string) => {
				await real.rename(from, to);
				this.#move(from, to);
				this.onChange(`rename ${basename(to)}`);
			},
			link: async (from: string, to: string) => {
				if (!this.#links)
					throw Object.assign(new Error("no links"), { code: "EPERM" });
				await real.link(from, to);
				const node = this.#find(from);
				if (node) this.#parent(to)?.entries.set(basename(to), node);
				this.onChange(`link ${basename(to)}`);
			},
			copyFile: async (from: string, to: string, mode?: number) => {
				await real.copyFile(from, to, mode);
				const data = await real.readFile(to);
				const node: FileNode = { kind: "file", data, flushed: null };
				this.#parent(to)?.entries.set(basename(to), node);
				this.onChange(`copy ${basename(to)}`);
			},
			rm: async (path: string, options?: object) => {
				await real.rm(path, options);
				this.#parent(path)?.entries.delete(basename(path));
				this.onChange(`rm ${basename(path)}`);
			},
			rmdir: async (path: string) => {
				await real.rmdir(path);
				this.#parent(path)?.entries.delete(basename(path));
				this.onChange(`rmdir ${basename(path)}`);
			},
		});
		syncBuiltinESMExports();
	}

	/** Gives the disk back. */
	uninstall(): void {
		Object.assign(fs, this.#real);
		syncBuiltinESMExports();
	}

	/** What a power cut now would leave. */
	afterCut(cut: Cut): Left {
		const files: [string, Buffer][] = [];
		const dirs: string[] = [];
		const walk = (node: Node, path: string) => {
			if (node.kind === "dir") {
				dirs.push(path);
				const entries = cut === "names" ? node.entries : node.flushed;
				for (const [name, child] of entries) walk(child, `${path}/${name}`);
			} else files.push([path, leftOf(node, cut)]);
		};
		walk(this.#top, "");
		const hash = createHash("sha256");
		for (const [path, bytes] of files) hash.update(`\n${path}\n`).update(bytes);
		const real = this.#real;
		return {
			id: hash.update(dirs.join("\n")).digest("hex"),
			async write(to) {
				for (const dir of dirs)
					await real.mkdir(`${to}${dir}`, { recursive: true });
				for (const [path, bytes] of files)
					await real.writeFile(`${to}${path}`, bytes);
			},
		};
	}

	#find(path: string): Node | undefined {
		const full = resolve(path);
		if (full === this.#root) return this.#top;
		if (!full.startsWith(this.#root + sep)) return undefined;
		let node: Node | undefined = this.#top;
		for (const name of full.slice(this.#root.length + 1).split(sep))
			node = node?.kind === "dir" ? node.entries.get(name) : undefined;
		return node;
	}

	#parent(path: string): DirNode | undefined {
		const node = this.#find(dirname(resolve(path)));
		return node?.kind === "dir" ? node : undefined;
	}

	#makeDirs(path: string): void {
		const full = resolve(path);
		if (!full.startsWith(this.#root + sep) || this.#find(full)) return;
		this.#makeDirs(dirname(full));
		const node: DirNode = {
			kind: "dir",
			entries: new Map(),
			flushed: new Map(),
		};
		this.#parent(full)?.entries.set(basename(full), node);
	}

	async #opened(
		path: string,
		before: Node | undefined,
		flags: string | number | undefined,
	): Promise<Node | undefined> {
		const parent = this.#parent(path);
		if (before) {
			const truncates = typeof flags === "string" && flags.startsWith("w");
			if (truncates && before.kind === "file") before.data = Buffer.alloc(0);
			return before;
		}
		if (!parent) return undefined;
		const node: FileNode = {
			kind: "file",
			data: Buffer.alloc(0),
			flushed: null,
		};
		parent.entries.set(basename(path), node);
		this.onChange(`create ${basename(path)}`);
		return node;
	}

	#move(from: string, to: string): void {
		const node = this.#find(from);
		const source = this.#parent(from);
		source?.entries.delete(basename(from));
		if (node) this.#parent(to)?.entries.set(basename(to), node);
	}

	/** Flushes a folder's names. A rename is one act: the old name goes when the new one stays. */
	#flushDir(dir: DirNode): void {
		this.#flushMade(this.#top, dir);
		const fresh = new Set<Node>();
		for (const [name, node] of dir.entries)
			if (dir.flushed.get(name) !== node) fresh.add(node);
		dir.flushed = new Map(dir.entries);
		const walk = (node: Node) => {
			if (node.kind !== "dir") return;
			for (const [name, child] of [...node.flushed]) {
				if (fresh.has(child) && node.entries.get(name) !== child)
					node.flushed.delete(name);
				else walk(child);
			}
		};
		walk(this.#top);
	}

	/** Brings the names on the way to a folder to disk, if they are new. @returns whether it is in `from` */
	#flushMade(from: DirNode, dir: DirNode): boolean {
		if (from === dir) return true;
		for (const [name, child] of from.entries) {
			if (child.kind !== "dir" || !this.#flushMade(child, dir)) continue;
			if (!this.#isFlushed(child)) from.flushed.set(name, child);
			return true;
		}
		return false;
	}

	/** Whether a folder has a name on the disk, this one or one that it had before. */
	#isFlushed(dir: DirNode): boolean {
		const walk = (node: DirNode): boolean =>
			[...node.flushed.values()].some(
				(child) => child === dir || (child.kind === "dir" && walk(child)),
			);
		return walk(this.#top);
	}

	#watch(handle: fs.FileHandle, node: Node, path: string): void {
		if (handles.has(handle)) return;
		handles.set(handle, { node });
		const real = {
			write: handle.write.bind(handle) as (...a: unknown[]) => Promise<{
				bytesWritten: number;
			}>,
			writev: handle.writev.bind(handle),
			writeFile: handle.writeFile.bind(handle),
			truncate: handle.truncate.bind(handle),
			sync: handle.sync.bind(handle),
			datasync: handle.datasync.bind(handle),
		};
		const changed = (what: string) =>
			this.onChange(`${what} ${basename(path)}`);
		const put = (bytes: Uint8Array, at: number) => {
			if (node.kind !== "file") return;
			const size = Math.max(node.data.byteLength, at + bytes.byteLength);
			const data = Buffer.alloc(size);
			node.data.copy(data);
			data.set(bytes, at);
			node.data = data;
		};
		const flush = (what: string) => {
			if (node.kind === "dir") this.#flushDir(node);
			else node.flushed = Buffer.from(node.data);
			changed(what);
		};
		// handles that write so are new, or open for appending
		const append = async (data: string | Uint8Array) => {
			await real.writeFile(data);
			const at = node.kind === "file" ? node.data.byteLength : 0;
			put(Buffer.from(data as Uint8Array), at);
		};
		Object.assign(handle, {
			async write(bytes: Uint8Array, from: number, length: number, at: number) {
				const done = await real.write(bytes, from, length, at);
				put(bytes.subarray(from, from + done.bytesWritten), at);
				changed("write");
				return done;
			},
			async writev(pieces: Uint8Array[], at: number) {
				const done = await real.writev(pieces, at);
				const all = Buffer.concat(pieces);
				put(all.subarray(0, done.bytesWritten), at);
				changed("write");
				return done;
			},
			writeFile: append,
			appendFile: append,
			async truncate(size: number) {
				await real.truncate(size);
				if (node.kind === "file") node.data = node.data.subarray(0, size);
			},
			async sync() {
				await real.sync();
				flush("sync");
			},
			async datasync() {
				// written while the flush runs may or may not be in it: the worse is assumed
				const data = node.kind === "file" ? Buffer.from(node.data) : undefined;
				await real.datasync();
				if (node.kind === "file" && data) node.flushed = data;
				changed("datasync");
			},
		});
	}
}

function leftOf({ data, flushed }: FileNode, cut: Cut): Buffer {
	if (cut === "nothing") return flushed ?? Buffer.alloc(0);
	if (flushed?.equals(data)) return data;
	const left = Buffer.alloc(data.byteLength);
	flushed?.copy(left);
	return left;
}
