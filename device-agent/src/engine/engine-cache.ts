import { createHash } from "node:crypto";
import {
	mkdir,
	readdir,
	readFile,
	rename,
	rm,
	stat,
	utimes,
} from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { sha256, zDigest } from "@wattvox/bundle";
import { outputError, writeAtomic } from "@wattvox/core";
import type { EngineKey } from "@wattvox/runtime/tensorrt";
import {
	type EngineCacheLimits,
	type Evicted,
	overfull,
} from "./cache-bounds.ts";
import {
	type EngineEntry,
	type EngineOrigin,
	engineId,
	entryPath,
	planPath,
	type RefitKey,
	type RefittedEntry,
	zEntry,
} from "./entries.ts";
import { Failures } from "./failures.ts";
import { Refits } from "./refits.ts";

/** An engine's own files in its folder. */
const OWN = [planPath(""), entryPath("")].map((path) => basename(path));

const refitKey = (entry: EngineEntry, voice: string): RefitKey => ({
	...{ recipe: 1, engine: entry.id, plan: entry.sha256, voice },
});

/**
 * Engines on a device's disk:
 * ```
 * DIR/<id>/engine.plan   the engine
 * DIR/<id>/engine.json   its key, its digest, where it came from; written last
 * DIR/<id>/<name>.plan, .json    a copy of it that was refitted for a voice, see {@link Refits}
 * DIR/incoming/<sha256>.part     one that a build station made, still coming
 * DIR/timing-<hex>.bin   TensorRT's timing cache of one kind of machine
 * DIR/failures.json      engines that could not be made or did not hold, not to be tried again
 * ```
 *
 * INVARIANTS
 * - An engine is found only under the key it was put with, and only while its bytes are those it was put with.
 * - A crash at any point leaves an engine whole or not there.
 * - The bound holds after every engine and every refitted copy that is put; what was just put stays, of the
 *   rest the longest unused goes first. A copy goes with its engine.
 */
export class EngineCache {
	readonly dir: string;
	/** Of this device: what is not to be tried again. */
	readonly failures: Failures;
	readonly #limits: Required<EngineCacheLimits>;

	constructor(dir: string, limits: EngineCacheLimits = {}) {
		this.dir = dir;
		this.failures = new Failures(join(dir, "failures.json"));
		this.#limits = { bytes: 2 ** 30, count: 16, ...limits };
	}

	/** The engine of a key, its bytes verified; a damaged one is removed. Counts as used. */
	async find(key: EngineKey): Promise<EngineEntry | undefined> {
		const entry = await this.#read(engineId(key));
		if (!entry) return undefined;
		const bytes = await readFile(entry.path).catch(() => undefined);
		if (!bytes || sha256(bytes) !== entry.sha256) {
			await this.remove(entry.id);
			return undefined;
		}
		const now = new Date();
		await utimes(entryPath(this.#folder(entry.id)), now, now);
		return entry;
	}

	/**
	 * Keeps an engine, and makes room for it.
	 * @throws WattvoxError E_OUTPUT, E_DISK_FULL
	 */
	async put(
		key: EngineKey,
		plan: Uint8Array,
		origin: EngineOrigin,
	): Promise<EngineEntry> {
		const id = engineId(key);
		// Without its entry, half an engine is none.
		await this.remove(id);
		await writeAtomic(planPath(this.#folder(id)), plan);
		const file = { sha256: sha256(plan), size: plan.length };
		return this.#enter(id, key, file, origin);
	}

	/**
	 * Takes an engine's file in by its name, and makes room for it.
	 * @param path on the same disk; its bytes are on it and verified
	 * @throws WattvoxError E_OUTPUT, E_DISK_FULL
	 */
	async adopt(
		key: EngineKey,
		path: string,
		file: { sha256: string; size: number },
		origin: EngineOrigin,
	): Promise<EngineEntry> {
		const id = engineId(key);
		await this.remove(id);
		const plan = planPath(this.#folder(id));
		try {
			await mkdir(dirname(plan), { recursive: true });
			// its name is flushed with its entry's, without which it is no engine
			await rename(path, plan);
		} catch (thrown) {
			throw outputError(plan, thrown);
		}
		return this.#enter(id, key, file, origin);
	}

	/**
	 * Where an engine that comes from elsewhere is put together. Of those that were interrupted only this one
	 * is kept.
	 * @param sha256 of its bytes
	 */
	async incoming(sha256: string): Promise<{ part: string; plan: string }> {
		const dir = join(this.dir, "incoming");
		const part = `${zDigest.parse(sha256)}.part`;
		for (const name of await readdir(dir).catch(() => []))
			if (name !== part) await rm(join(dir, name), { force: true });
		return { part: join(dir, part), plan: join(dir, `${sha256}.plan`) };
	}

	async #enter(
		id: string,
		key: EngineKey,
		{ sha256, size }: { sha256: string; size: number },
		origin: EngineOrigin,
	): Promise<EngineEntry> {
		const created = new Date().toISOString();
		const entry = { v: 1, key, sha256, size, created, origin };
		await writeAtomic(
			entryPath(this.#folder(id)),
			`${JSON.stringify(entry)}\n`,
		);
		await this.#bound({ id });
		return (await this.#read(id)) as EngineEntry;
	}

	/** Every engine, the last used first. */
	async list(): Promise<EngineEntry[]> {
		const entries = await Promise.all(
			(await this.#names()).map((id) => this.#read(id)),
		);
		return entries
			.filter((e): e is EngineEntry => e !== undefined)
			.sort((a, b) => b.used - a.used || (a.id < b.id ? -1 : 1));
	}

	/** A copy of an engine that was refitted for a voice, its bytes verified. Counts as used. */
	async refitted(
		entry: EngineEntry,
		voice: string,
	): Promise<RefittedEntry | undefined> {
		return this.#refits(entry.id).find(refitKey(entry, voice));
	}

	/**
	 * Makes such a copy.
	 * @param make writes it, flushed, to the path that it is given
	 * @throws WattvoxError E_OUTPUT, E_DISK_FULL; what `make` throws
	 */
	async refit(
		entry: EngineEntry,
		voice: string,
		make: (path: string) => Promise<unknown>,
	): Promise<RefittedEntry> {
		const refits = this.#refits(entry.id);
		const key = refitKey(entry, voice);
		const part = await refits.place(key);
		try {
			await make(part);
			const made = await refits.keep(key);
			await this.#bound({ id: entry.id, name: made.name });
			return made;
		} finally {
			await rm(part, { force: true }).catch(() => undefined);
		}
	}

	/** Removes a refitted copy. */
	async dropRefitted(entry: EngineEntry, { name }: RefittedEntry) {
		await this.#refits(entry.id).remove(name);
	}

	/** Every refitted copy of an engine. */
	async listRefitted({ id }: EngineEntry): Promise<RefittedEntry[]> {
		return this.#refits(id).list();
	}

	async remove(id: string): Promise<void> {
		// The entry first: what a crash leaves then is no engine.
		await rm(entryPath(this.#folder(id)), { force: true });
		await rm(this.#folder(id), { recursive: true, force: true });
	}

	/** TensorRT's timing cache for one kind of machine; undefined before the first build. */
	async timing(key: EngineKey): Promise<Uint8Array | undefined> {
		return readFile(this.#timingPath(key)).catch(() => undefined);
	}

	/** @throws WattvoxError E_OUTPUT, E_DISK_FULL */
	async setTiming(key: EngineKey, bytes: Uint8Array): Promise<void> {
		await writeAtomic(this.#timingPath(key), bytes);
	}

	async #bound(keep: Evicted): Promise<void> {
		const entries = await this.list();
		const sized = await Promise.all(
			entries.map(async (e) => ({ ...e, refits: await this.listRefitted(e) })),
		);
		for (const { id, name } of overfull(sized, this.#limits, keep))
			await (name === undefined
				? this.remove(id)
				: this.#refits(id).remove(name));
		// What a crash left.
		const whole = new Set(entries.map((e) => e.id));
		for (const id of await this.#names())
			if (whole.has(id)) await this.#refits(id).sweep(OWN);
			else await this.remove(id);
	}

	#refits(id: string): Refits {
		return new Refits(this.#folder(id));
	}

	async #names(): Promise<string[]> {
		const names = await readdir(this.dir).catch(() => []);
		return names.filter((name) => zDigest.safeParse(name).success);
	}

	async #read(id: string): Promise<EngineEntry | undefined> {
		try {
			const path = entryPath(this.#folder(id));
			const { v: _, ...entry } = zEntry.parse(
				JSON.parse(await readFile(path, "utf8")),
			);
			const key = entry.key as unknown as EngineKey;
			const plan = planPath(this.#folder(id));
			// An entry under another name than its key's, or beside another file, is none of ours.
			if (engineId(key) !== id || (await stat(plan)).size !== entry.size)
				return undefined;
			const used = (await stat(path)).mtimeMs;
			return { ...entry, id, key, path: plan, used };
		} catch {
			return undefined;
		}
	}

	#folder(id: string): string {
		return join(this.dir, zDigest.parse(id));
	}

	#timingPath(key: EngineKey): string {
		const { tensorrt, computeCapability, device, multiprocessors } = key;
		const kind = [tensorrt, computeCapability, device, multiprocessors];
		const name = createHash("sha256").update(JSON.stringify(kind));
		return join(this.dir, `timing-${name.digest("hex").slice(0, 16)}.bin`);
	}
}
