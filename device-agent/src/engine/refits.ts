import {
	mkdir,
	readdir,
	readFile,
	rename,
	rm,
	stat,
	utimes,
} from "node:fs/promises";
import { join } from "node:path";
import { hashPath } from "@wattvox/bundle";
import { outputError, writeAtomic } from "@wattvox/core";
import {
	type RefitKey,
	type RefittedEntry,
	refitName,
	zRefit,
} from "./entries.ts";

const PLAN = ".plan";
const ENTRY = ".json";
const NAME = /^[0-9a-f]{64}$/;

/**
 * The refitted copies of one engine, in that engine's folder:
 * ```
 * <name>.plan   the copy
 * <name>.json   what it depends on, its digest; written last
 * <name>.part   one that is being made
 * ```
 *
 * INVARIANTS
 * - A copy is found only under the engine, the engine's very bytes and the voice that it was made from, and
 *   only while its bytes are those that were kept.
 * - A crash at any point leaves a copy whole or not there.
 */
export class Refits {
	readonly #dir: string;

	constructor(dir: string) {
		this.#dir = dir;
	}

	/** Where the copy is to be written, flushed; nothing is there. @throws WattvoxError E_OUTPUT, E_DISK_FULL */
	async place(key: RefitKey): Promise<string> {
		const path = this.#path(refitName(key), ".part");
		try {
			await mkdir(this.#dir, { recursive: true });
			await rm(path, { force: true });
		} catch (thrown) {
			throw outputError(path, thrown);
		}
		return path;
	}

	/**
	 * Keeps what was written to its place. The digest is taken of what lies there: what the process says
	 * that wrote it counts for nothing.
	 * @throws WattvoxError E_OUTPUT, E_DISK_FULL
	 */
	async keep(key: RefitKey): Promise<RefittedEntry> {
		const name = refitName(key);
		const plan = this.#path(name, PLAN);
		try {
			// The entry first: what a crash leaves then is no copy.
			await rm(this.#path(name, ENTRY), { force: true });
			const { sha256, size } = await hashPath(this.#path(name, ".part"));
			// its name is flushed with its entry's, without which it is no copy
			await rename(this.#path(name, ".part"), plan);
			const created = new Date().toISOString();
			const entry = { v: 1, key, sha256, size, created };
			await writeAtomic(this.#path(name, ENTRY), `${JSON.stringify(entry)}\n`);
		} catch (thrown) {
			throw outputError(plan, thrown);
		}
		return (await this.#read(name)) as RefittedEntry;
	}

	/** A copy, its bytes verified; a damaged one is removed. Counts as used. */
	async find(key: RefitKey): Promise<RefittedEntry | undefined> {
		const name = refitName(key);
		const entry = await this.#read(name);
		if (!entry) return undefined;
		const now = await hashPath(entry.path).catch(() => undefined);
		if (now?.sha256 !== entry.sha256) {
			await this.remove(name);
			return undefined;
		}
		const at = new Date();
		await utimes(this.#path(name, ENTRY), at, at);
		return entry;
	}

	async list(): Promise<RefittedEntry[]> {
		const files = await readdir(this.#dir).catch(() => []);
		const names = files
			.filter((file) => file.endsWith(ENTRY))
			.map((file) => file.slice(0, -ENTRY.length))
			.filter((name) => NAME.test(name));
		const entries = await Promise.all(names.map((name) => this.#read(name)));
		return entries.filter((e): e is RefittedEntry => e !== undefined);
	}

	async remove(name: string): Promise<void> {
		await rm(this.#path(name, ENTRY), { force: true });
		await rm(this.#path(name, PLAN), { force: true });
	}

	/** Removes what a crash left, and what belongs to nothing. @param own other files that may lie here */
	async sweep(own: readonly string[]): Promise<void> {
		const whole = new Set([
			...own,
			...(await this.list()).flatMap(({ name }) => [
				`${name}${PLAN}`,
				`${name}${ENTRY}`,
			]),
		]);
		for (const file of await readdir(this.#dir).catch(() => []))
			if (!whole.has(file)) await rm(join(this.#dir, file), { force: true });
	}

	async #read(name: string): Promise<RefittedEntry | undefined> {
		try {
			const at = this.#path(name, ENTRY);
			const { v: _, ...entry } = zRefit.parse(
				JSON.parse(await readFile(at, "utf8")),
			);
			const path = this.#path(name, PLAN);
			// An entry under another name than its key's, or beside another file, is none of ours.
			if (
				refitName(entry.key) !== name ||
				(await stat(path)).size !== entry.size
			)
				return undefined;
			return { ...entry, name, path, used: (await stat(at)).mtimeMs };
		} catch {
			return undefined;
		}
	}

	#path(name: string, ending: string): string {
		return join(this.#dir, `${name}${ending}`);
	}
}
