import { mkdir, readdir, readFile, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import {
	bundleDigest,
	FolderStore,
	inspectBundle,
	MANIFEST,
	parseManifest,
	parseSignature,
	type RootTrust,
	readManifestFiles,
	removeDirAtomic,
	sha256,
	type Trust,
	verifyBytes,
	zDigest,
} from "@wattvox/bundle";
import {
	asWattvoxError,
	ERRORS,
	type ErrorCode,
	unlessShortage,
	WattvoxError,
	writeAtomic,
} from "@wattvox/core";
import { readDesired, type SignedDesired } from "@wattvox/link";
import { z } from "zod";
import type { Rejected } from "./planner.ts";
import { type Active, demoted, without } from "./pointer.ts";

const zRevision = z.int().min(1);
const zActive = z.object({
	v: z.literal(1),
	digest: zDigest,
	revision: zRevision,
	previous: zDigest.nullable(),
	earlier: z.array(zDigest).max(8).optional(),
});
const zCode = z
	.string()
	.refine((c): c is ErrorCode => Object.hasOwn(ERRORS, c), "no such code");
const zRejected = z.object({
	v: z.literal(1),
	bundles: z.record(
		zDigest,
		z.object({ revision: zRevision, code: zCode, message: z.string() }),
	),
});

/** Rejections kept: enough to remember every recent trial, little to read. */
const REJECTED_KEPT = 32;

/**
 * What a device keeps on disk:
 * ```
 * store/              blobs, manifests, interrupted pulls
 * voices/<digest>/    bundles laid out to be loaded
 * active.json         the pointer to the voice that speaks
 * desired.bin         the newest desired state, as it was signed
 * floors.json         the highest revision and time that each key signed
 * roots.json          roots that came after the one it was given
 * rejected.json       bundles that must not speak, and why
 * ```
 *
 * INVARIANTS
 * - Each file is replaced whole (rename), so a crash leaves the old or the new one.
 * - `voices/<digest>` exists only when all of it was verified.
 * - What cannot be read is as if it were not there, unless the system is short of files or memory: then it is
 *   an error, and nothing is removed for it.
 */
export class DeviceState {
	readonly dir: string;
	readonly store: FolderStore;

	constructor(dir: string) {
		this.dir = dir;
		this.store = new FolderStore(join(dir, "store"));
	}

	/** Makes the folders and clears what a crash left half done. @throws WattvoxError E_OUTPUT */
	async prepare(): Promise<void> {
		try {
			const voices = join(this.dir, "voices");
			await mkdir(voices, { recursive: true });
			const whole = await this.laidOut();
			for (const name of await readdir(voices))
				if (!whole.has(name))
					await rm(join(voices, name), { recursive: true, force: true });
		} catch (thrown) {
			const { message } = asWattvoxError(thrown);
			throw new WattvoxError("E_OUTPUT", `cannot use ${this.dir}: ${message}`, {
				cause: thrown,
			});
		}
	}

	/** Folder of a laid-out bundle, there or to be. */
	voiceDir(digest: string): string {
		return join(this.dir, "voices", zDigest.parse(digest));
	}

	async laidOut(): Promise<Set<string>> {
		const names = await readdir(join(this.dir, "voices"));
		return new Set(names.filter((n) => zDigest.safeParse(n).success));
	}

	/** @throws WattvoxError E_OUTPUT */
	removeVoice(digest: string): Promise<void> {
		return removeDirAtomic(this.voiceDir(digest));
	}

	/** Path of a laid-out bundle's golden sentences; null when it has none. */
	async goldenPath(digest: string): Promise<string | null> {
		const dir = this.voiceDir(digest);
		const manifest = parseManifest(await readFile(join(dir, MANIFEST)));
		const golden = manifest.files.find((f) => f.role === "golden");
		return golden ? join(dir, golden.name) : null;
	}

	/**
	 * Whether a laid-out bundle is still, byte for byte, what its manifest lists. Trust is not asked
	 * for again: a key that was withdrawn stops updates, never the voice that speaks.
	 * @throws when the system is short of files or memory: then nobody knows
	 */
	async intact(digest: string): Promise<boolean> {
		try {
			const found = await inspectBundle(this.voiceDir(digest));
			return found.digest === digest && found.problems.length === 0;
		} catch (thrown) {
			unlessShortage(thrown);
			return false;
		}
	}

	/** Drops a bundle's blobs whose bytes are not what was signed, so that they are pulled again. */
	async dropDamaged(digest: string): Promise<void> {
		const found = await this.store.readManifest(digest);
		if (!found) return;
		await this.store.forget(digest);
		for (const file of parseManifest(found.bytes).files) {
			const path = this.store.blobPath(file.sha256);
			const bytes = await readFile(path).catch(() => undefined);
			if (bytes && sha256(bytes) !== file.sha256) await rm(path);
		}
	}

	/** Null when there is none, or none that can be read. */
	async active(): Promise<Active | null> {
		const active = await this.#pointer();
		if (!active) return null;
		// A pointer to nothing is no voice.
		const dir = this.voiceDir(active.digest);
		return (await stat(dir).catch(unlessShortage)) ? active : null;
	}

	/**
	 * The voice that an earlier run left, if it is still what was verified then; else the newest
	 * good one before it that is. What is damaged is removed, so that it is fetched again.
	 */
	async recallActive(
		onDamage: (digest: string) => void,
	): Promise<Active | null> {
		const active = await this.#pointer();
		const gone: string[] = [];
		let last: Active | null = active;
		while (last && !(await this.intact(last.digest))) {
			onDamage(last.digest);
			gone.push(last.digest);
			last = last.previous === null ? null : demoted(last);
		}
		if (gone.length === 0) return last;
		// the pointer first: after a crash in between it still points to a voice that speaks
		if (last) await this.setActive(last);
		for (const digest of gone) {
			await this.removeVoice(digest);
			await this.dropDamaged(digest);
		}
		return last;
	}

	/**
	 * Removes one of the good voices before the active one, and its bad blobs with it.
	 * @throws WattvoxError E_OUTPUT, E_DISK_FULL
	 */
	async forget(digest: string): Promise<void> {
		const active = await this.#pointer();
		// the pointer first: after a crash in between it names nothing that is half gone
		if (active) await this.setActive(without(active, digest));
		await this.removeVoice(digest);
		await this.dropDamaged(digest);
	}

	/** @throws WattvoxError E_OUTPUT, E_DISK_FULL */
	async setActive(active: Active): Promise<void> {
		await this.#write("active.json", { v: 1, ...active });
	}

	async rejected(): Promise<Map<string, Rejected>> {
		const read = await this.#json("rejected.json", zRejected);
		return new Map(Object.entries(read?.bundles ?? {}));
	}

	/** @throws WattvoxError E_OUTPUT, E_DISK_FULL */
	async setRejected(rejected: ReadonlyMap<string, Rejected>): Promise<void> {
		const newest = [...rejected]
			.sort(([, a], [, b]) => b.revision - a.revision)
			.slice(0, REJECTED_KEPT);
		await this.#write("rejected.json", {
			v: 1,
			bundles: Object.fromEntries(newest),
		});
	}

	/** The desired state that was accepted last, its signature checked again; null when none holds. */
	async desired(
		to: { fleet: string; device: string },
		trust: Trust,
	): Promise<SignedDesired | null> {
		const bytes = await readFile(join(this.dir, "desired.bin")).catch(
			unlessShortage,
		);
		if (!bytes) return null;
		try {
			return readDesired(bytes, to, trust);
		} catch {
			return null;
		}
	}

	/** @throws WattvoxError E_OUTPUT, E_DISK_FULL */
	async setDesired(payload: Uint8Array): Promise<void> {
		await writeAtomic(join(this.dir, "desired.bin"), payload);
	}

	/**
	 * Follows the roots that an earlier run heard of, from the one the device was given.
	 * @returns why not all of them are followed; undefined when they are, or when there are none
	 */
	async recallRoots(trust: RootTrust): Promise<WattvoxError | undefined> {
		const bytes = await readFile(this.#roots).catch(unlessShortage);
		try {
			if (bytes) trust.update(bytes);
			return undefined;
		} catch (thrown) {
			return asWattvoxError(thrown);
		}
	}

	/** @throws WattvoxError E_OUTPUT, E_DISK_FULL */
	async setRoots(trust: RootTrust): Promise<void> {
		await writeAtomic(this.#roots, trust.bytes);
	}

	get #roots(): string {
		return join(this.dir, "roots.json");
	}

	/**
	 * Holds the signer of a laid-out bundle to what is trusted now; its files were verified when it was
	 * laid out.
	 * @throws WattvoxError E_SIGNATURE; E_FILE_MISSING
	 */
	async checkSigner(digest: string, trust: Trust): Promise<void> {
		const { bytes, signature } = await readManifestFiles(this.voiceDir(digest));
		verifyBytes("manifest", bytes, parseSignature(signature), trust);
		if (bundleDigest(bytes) !== digest)
			throw new WattvoxError("E_TAMPERED", `this is not bundle ${digest}`);
	}

	/** What `wattvox-agent status` shows. */
	async setStatus(status: object): Promise<void> {
		await this.#write("status.json", status);
	}

	async #pointer(): Promise<Active | null> {
		const read = await this.#json("active.json", zActive);
		if (!read) return null;
		const { digest, revision, previous, earlier = [] } = read;
		return { digest, revision, previous, earlier };
	}

	async #write(name: string, value: object): Promise<void> {
		await writeAtomic(join(this.dir, name), `${JSON.stringify(value)}\n`);
	}

	async #json<T>(name: string, schema: z.ZodType<T>): Promise<T | undefined> {
		try {
			const text = await readFile(join(this.dir, name), "utf8");
			const parsed = schema.safeParse(JSON.parse(text));
			return parsed.success ? parsed.data : undefined;
		} catch (thrown) {
			unlessShortage(thrown);
			return undefined;
		}
	}
}
