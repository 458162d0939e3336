import { readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { outputError, WattvoxError, writeAtomic } from "@wattvox/core";
import { readPlain } from "./disk.ts";
import {
	ENGINE_HEAD_MAX_BYTES,
	type EngineHead,
	peekEngineHead,
} from "./engine-head.ts";
import type { FileHashes } from "./hash.ts";
import { BLOCK_BYTES, zDigest } from "./names.ts";
import { ReadAhead } from "./read-ahead.ts";

export interface EngineShelfOptions {
	/** Of all engines together. Default 8 GiB. */
	bytes?: number;
	/** Default 256. */
	count?: number;
}

/** Interrupted uploads that are kept, the last ones. */
const PARTS = 4;

/**
 * Signed engines that a store offers, in a folder of their own:
 * ```
 * heads/<name>.json        what was signed; exists only when the plan that it names does
 * plans/<sha256>           the engines' bytes
 * incoming/<sha256>.part   those that are still coming, the last few
 * ```
 *
 * INVARIANTS
 * - A plan has its name only when all of its bytes are on disk and were hashed from there.
 * - A head is put last and removed first: a crash at any point leaves an engine whole or not there.
 * - The bound holds after every `put`: the engine just put stays, of the others the oldest goes first.
 *
 * One process writes; any number may read.
 */
export class EngineShelf {
	readonly dir: string;
	readonly #o: Required<EngineShelfOptions>;
	readonly #readAhead = new ReadAhead();

	constructor(dir: string, options: EngineShelfOptions = {}) {
		this.dir = dir;
		this.#o = { bytes: 8 * 2 ** 30, count: 256, ...options };
	}

	/** A head as it was put; undefined when the shelf does not have this engine. */
	async readHead(name: string): Promise<Buffer | undefined> {
		try {
			return await readPlain(this.#headPath(name), ENGINE_HEAD_MAX_BYTES);
		} catch (thrown) {
			if (thrown instanceof WattvoxError && thrown.code === "E_FILE_MISSING")
				return undefined;
			throw thrown;
		}
	}

	/** One block of a plan, not to be written to; undefined when there is none. */
	async readBlock(sha256: string, index: number): Promise<Buffer | undefined> {
		try {
			const at = index * BLOCK_BYTES;
			const path = this.planPath(sha256);
			const block = await this.#readAhead.read(path, at, BLOCK_BYTES);
			return block.byteLength > 0 ? block : undefined;
		} catch (thrown) {
			if (thrown instanceof WattvoxError && thrown.code === "E_FILE_MISSING")
				return undefined;
			throw thrown;
		}
	}

	/** Names of the engines that are here whole, by name. */
	async names(): Promise<string[]> {
		return (await this.#heads()).map(({ head }) => head.name).sort();
	}

	/** Where a plan is, or would be. */
	planPath(sha256: string): string {
		return join(this.dir, "plans", zDigest.parse(sha256));
	}

	/** Whether a plan is here; what has this name was verified when it got it. */
	async hasPlan(file: Pick<FileHashes, "sha256" | "size">): Promise<boolean> {
		const info = await stat(this.planPath(file.sha256)).catch(() => undefined);
		return info?.isFile() === true && info.size === file.size;
	}

	/** Where a plan is put together; drops all but the last few that were interrupted. */
	async partPath({ sha256 }: Pick<FileHashes, "sha256">): Promise<string> {
		const dir = join(this.dir, "incoming");
		const path = join(dir, `${zDigest.parse(sha256)}.part`);
		const others: { path: string; at: number }[] = [];
		for (const name of await readdir(dir).catch(() => [])) {
			const other = join(dir, name);
			const at = (await stat(other).catch(() => undefined))?.mtimeMs ?? 0;
			if (other !== path) others.push({ path: other, at });
		}
		others.sort((a, b) => b.at - a.at);
		for (const { path: old } of others.slice(PARTS - 1))
			await rm(old, { force: true });
		return path;
	}

	/**
	 * Offers an engine whose plan is in place, and makes room for it.
	 * @param bytes a head, verified by the caller
	 * @throws WattvoxError E_BUG (no such plan), E_OUTPUT, E_DISK_FULL
	 */
	async put(bytes: Uint8Array): Promise<EngineHead> {
		const head = peekEngineHead(bytes);
		if (!(await this.hasPlan(head)))
			throw new WattvoxError("E_BUG", `${head.name} has no plan here`);
		await writeAtomic(this.#headPath(head.name), bytes);
		try {
			await this.#bound(head.name);
		} catch (thrown) {
			throw outputError(this.dir, thrown);
		}
		return head;
	}

	async #bound(keep: string): Promise<void> {
		const all = await this.#heads();
		const first = (one: { head: EngineHead; at: number }) =>
			one.head.name === keep ? Number.POSITIVE_INFINITY : one.at;
		all.sort((a, b) => first(b) - first(a));
		const kept = { heads: new Set<string>(), plans: new Set<string>() };
		let [bytes, count] = [0, 0];
		for (const { head } of all) {
			const fits = bytes + head.size <= this.#o.bytes && count < this.#o.count;
			if (head.name !== keep && !fits) continue;
			bytes += head.size;
			count++;
			kept.heads.add(`${head.name}.json`);
			kept.plans.add(head.sha256);
		}
		// heads first; with what a crash left
		for (const kind of ["heads", "plans"] as const) {
			const dir = join(this.dir, kind);
			for (const name of await readdir(dir))
				if (!kept[kind].has(name)) await rm(join(dir, name), { force: true });
		}
	}

	async #heads(): Promise<{ head: EngineHead; at: number }[]> {
		const dir = join(this.dir, "heads");
		const found: { head: EngineHead; at: number }[] = [];
		for (const file of await readdir(dir).catch(() => [])) {
			const [, name] = /^([0-9a-f]{64})\.json$/.exec(file) ?? [];
			if (name === undefined) continue;
			try {
				const path = join(dir, file);
				const head = peekEngineHead(
					await readPlain(path, ENGINE_HEAD_MAX_BYTES),
				);
				if (head.name !== name || !(await this.hasPlan(head))) continue;
				found.push({ head, at: (await stat(path)).mtimeMs });
			} catch {
				// removed under us, or none of ours: it is not offered
			}
		}
		return found;
	}

	#headPath(name: string): string {
		return join(this.dir, "heads", `${zDigest.parse(name)}.json`);
	}
}
