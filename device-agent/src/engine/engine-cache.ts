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
import { dirname, join } from "node:path";
import { engineName, sha256, zDigest } from "@wattvox/bundle";
import {
	ERRORS,
	type ErrorCode,
	outputError,
	syncDir,
	writeAtomic,
} from "@wattvox/core";
import type { EngineKey } from "@wattvox/runtime/tensorrt";
import { z } from "zod";

/** Name of an engine: SHA-256 of its key as canonical JSON, hex. */
export const engineId = (key: EngineKey): string => engineName(key);

const zOrigin = z.union([
	z.object({ kind: z.literal("built"), seconds: z.number().min(0) }),
	/** Came from a build station; `key` signed it. */
	z.object({ kind: z.literal("signed"), key: zDigest }),
]);

const zEntry = z.object({
	v: z.literal(1),
	/** What it depends on. Held to the id, so its fields need no schema of their own. */
	key: z.record(z.string(), z.unknown()),
	/** Of the plan. */
	sha256: zDigest,
	size: z.int().min(1),
	created: z.iso.datetime(),
	origin: zOrigin,
});

/** Where an engine came from. */
export type EngineOrigin = z.infer<typeof zOrigin>;

/** An engine on this device. */
export interface EngineEntry {
	id: string;
	key: EngineKey;
	/** Of its file, hex. */
	sha256: string;
	size: number;
	created: string;
	origin: EngineOrigin;
	/** Its file. */
	path: string;
	/** When it was put or last asked for, ms since 1970. */
	used: number;
}

const zFailures = z.object({
	v: z.literal(1),
	failures: z
		.array(
			z.object({
				engine: zDigest,
				/** The bundle whose voice it was for. */
				voice: zDigest,
				code: z
					.string()
					.refine((c): c is ErrorCode => Object.hasOwn(ERRORS, c)),
				message: z.string(),
			}),
		)
		.max(1000),
});
export type EngineFailure = z.infer<typeof zFailures>["failures"][number];

export interface EngineCacheLimits {
	/** Of all engines together. Default 1 GiB. */
	bytes?: number;
	/** Default 16. */
	count?: number;
}

/** Ending of the files with a voice's weights, and how many of them an engine keeps. */
const WEIGHTS = ".safetensors";
const WEIGHTS_KEPT = 4;
/** Failures remembered. */
const FAILURES = 64;

/**
 * Engines on a device's disk:
 * ```
 * DIR/<id>/engine.plan   the engine
 * DIR/<id>/engine.json   its key, its digest, where it came from; written last
 * DIR/<id>/<bundle>.safetensors  what it is refitted with for a voice, the last few
 * DIR/incoming/<sha256>.part     one that a build station made, still coming
 * DIR/timing-<hex>.bin   TensorRT's timing cache of one kind of machine
 * DIR/failures.json      engines that could not be made or did not hold, not to be tried again
 * ```
 *
 * INVARIANTS
 * - An engine is found only under the key it was put with, and only while its bytes are those it was put with.
 * - A crash at any point leaves an engine whole or not there.
 * - The bound holds after every `put`; the engine just put stays, of the others the longest unused goes first.
 */
export class EngineCache {
	readonly dir: string;
	readonly #limits: Required<EngineCacheLimits>;

	constructor(dir: string, limits: EngineCacheLimits = {}) {
		this.dir = dir;
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
		await utimes(this.#entryPath(entry.id), now, now);
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
		await writeAtomic(this.#planPath(id), plan);
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
		const plan = this.#planPath(id);
		try {
			await mkdir(dirname(plan), { recursive: true });
			await rename(path, plan);
			await syncDir(dirname(plan));
			await syncDir(this.dir);
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
		await writeAtomic(this.#entryPath(id), `${JSON.stringify(entry)}\n`);
		await this.#bound(id);
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

	/**
	 * Keeps the weights that an engine was refitted with for a voice, beside it.
	 * @returns their file
	 * @throws WattvoxError E_OUTPUT, E_DISK_FULL
	 */
	async putWeights(
		id: string,
		voice: string,
		bytes: Uint8Array,
	): Promise<string> {
		const dir = join(this.dir, zDigest.parse(id));
		const path = join(dir, `${zDigest.parse(voice)}${WEIGHTS}`);
		await writeAtomic(path, bytes);
		const ages = await Promise.all(
			(await readdir(dir))
				.filter((name) => name.endsWith(WEIGHTS))
				.map(async (name) => {
					const other = join(dir, name);
					return { other, at: (await stat(other)).mtimeMs };
				}),
		);
		ages.sort((a, b) => b.at - a.at);
		for (const { other } of ages.slice(WEIGHTS_KEPT))
			if (other !== path) await rm(other, { force: true });
		return path;
	}

	async remove(id: string): Promise<void> {
		// The entry first: what a crash leaves then is no engine.
		await rm(this.#entryPath(id), { force: true });
		await rm(join(this.dir, zDigest.parse(id)), {
			recursive: true,
			force: true,
		});
	}

	/** TensorRT's timing cache for one kind of machine; undefined before the first build. */
	async timing(key: EngineKey): Promise<Uint8Array | undefined> {
		return readFile(this.#timingPath(key)).catch(() => undefined);
	}

	/** @throws WattvoxError E_OUTPUT, E_DISK_FULL */
	async setTiming(key: EngineKey, bytes: Uint8Array): Promise<void> {
		await writeAtomic(this.#timingPath(key), bytes);
	}

	async failures(): Promise<EngineFailure[]> {
		try {
			const text = await readFile(join(this.dir, "failures.json"), "utf8");
			return zFailures.parse(JSON.parse(text)).failures;
		} catch {
			return [];
		}
	}

	/** Remembers that an engine did not come to speak for a voice. @throws WattvoxError E_OUTPUT, E_DISK_FULL */
	async fail(failure: EngineFailure): Promise<void> {
		const others = await this.#othersThan(failure.engine, failure.voice);
		await this.#setFailures([failure, ...others].slice(0, FAILURES));
	}

	/** Lets it be tried again. @throws WattvoxError E_OUTPUT, E_DISK_FULL */
	async forgive(engine: string, voice: string): Promise<void> {
		const others = await this.#othersThan(engine, voice);
		if (others.length < (await this.failures()).length)
			await this.#setFailures(others);
	}

	async #othersThan(engine: string, voice: string): Promise<EngineFailure[]> {
		return (await this.failures()).filter(
			(f) => f.engine !== engine || f.voice !== voice,
		);
	}

	async #setFailures(failures: EngineFailure[]): Promise<void> {
		await writeAtomic(
			join(this.dir, "failures.json"),
			`${JSON.stringify({ v: 1, failures })}\n`,
		);
	}

	async #bound(keep: string): Promise<void> {
		const whole = new Set<string>();
		let [bytes, count] = [0, 0];
		const entries = await this.list();
		const first = entries.filter((e) => e.id === keep);
		for (const entry of [...first, ...entries.filter((e) => e.id !== keep)]) {
			whole.add(entry.id);
			bytes += entry.size;
			count++;
			if (
				entry.id !== keep &&
				(bytes > this.#limits.bytes || count > this.#limits.count)
			)
				await this.remove(entry.id);
		}
		// What a crash left.
		for (const id of await this.#names())
			if (!whole.has(id)) await this.remove(id);
	}

	async #names(): Promise<string[]> {
		const names = await readdir(this.dir).catch(() => []);
		return names.filter((name) => zDigest.safeParse(name).success);
	}

	async #read(id: string): Promise<EngineEntry | undefined> {
		try {
			const path = this.#entryPath(id);
			const { v: _, ...entry } = zEntry.parse(
				JSON.parse(await readFile(path, "utf8")),
			);
			const key = entry.key as unknown as EngineKey;
			const plan = this.#planPath(id);
			// An entry under another name than its key's, or beside another file, is none of ours.
			if (engineId(key) !== id || (await stat(plan)).size !== entry.size)
				return undefined;
			const used = (await stat(path)).mtimeMs;
			return { ...entry, id, key, path: plan, used };
		} catch {
			return undefined;
		}
	}

	#planPath(id: string): string {
		return join(this.dir, zDigest.parse(id), "engine.plan");
	}

	#entryPath(id: string): string {
		return join(this.dir, zDigest.parse(id), "engine.json");
	}

	#timingPath(key: EngineKey): string {
		const { tensorrt, computeCapability, device, multiprocessors } = key;
		const kind = [tensorrt, computeCapability, device, multiprocessors];
		const name = createHash("sha256").update(JSON.stringify(kind));
		return join(this.dir, `timing-${name.digest("hex").slice(0, 16)}.bin`);
	}
}
