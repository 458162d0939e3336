import { constants } from "node:fs";
import {
	chmod,
	readdir,
	readFile,
	rm,
	stat,
	truncate,
	writeFile,
} from "node:fs/promises";
import { join } from "node:path";
import { WattvoxError } from "@wattvox/core";
import test from "ava";
import { readManifestFiles } from "./bundle.ts";
import { systemDisk } from "./disk.ts";
import { hashBytes } from "./hash.ts";
import { newKey, trustKeys } from "./keys.ts";
import { parseManifest } from "./manifest.ts";
import { BLOCK_BYTES } from "./names.ts";
import { PartialBlob } from "./partial.ts";
import { ReadAhead } from "./read-ahead.ts";
import { FolderStore } from "./store.ts";
import {
	sampleBytes,
	sampleFiles,
	sampleMeta,
	temporaryDir,
} from "./testing.ts";
import { writeBundle } from "./write.ts";

const key = newKey();
const trust = trustKeys([key.publicKey]);

test("two voices of one base share its files", async (t) => {
	const root = await temporaryDir(t);
	const store = new FolderStore(join(root, "store"));
	const digests: string[] = [];
	for (const voice of ["ada", "bob"]) {
		const dir = join(root, voice);
		await writeBundle(dir, sampleFiles({ voice }), sampleMeta(voice), key);
		digests.push(await store.put(dir, trust));
	}
	t.deepEqual(await store.bundles(), digests.sort());
	const blobs = await readdir(join(root, "store", "blobs", "sha256"));
	t.is(blobs.length, 2 + 2 * 2);
	t.deepEqual(await readdir(join(root, "store", "partial")), []);
	const [digest = ""] = digests;
	const bundle = await store.checkout(digest, join(root, "out"), trust);
	t.is(bundle.digest, digest);
	t.deepEqual(
		await readFile(bundle.path("text")),
		sampleBytes(131_072, "base"),
	);
	// a second checkout replaces the first
	await t.notThrowsAsync(store.checkout(digest, join(root, "out"), trust));
	// one that is called off leaves nothing
	const off = AbortSignal.abort(new WattvoxError("E_TIMEOUT", "too long"));
	await t.throwsAsync(store.checkout(digest, join(root, "no"), trust, off), {
		code: "E_TIMEOUT",
	});
	t.false((await readdir(root)).some((name) => name.includes("no")));
});

test("a bundle that is dropped takes along what no other one needs", async (t) => {
	const root = await temporaryDir(t);
	const store = new FolderStore(join(root, "store"));
	const digests: string[] = [];
	for (const voice of ["ada", "bob"]) {
		const dir = join(root, voice);
		await writeBundle(dir, sampleFiles({ voice }), sampleMeta(voice), key);
		digests.push(await store.put(dir, trust));
	}
	const [ada = "", bob = ""] = digests;
	const names = async () =>
		(await readdir(join(root, "store", "blobs", "sha256"))).sort();
	const files = async (digest: string) => {
		const found = await store.readManifest(digest);
		return found ? parseManifest(found.bytes).files : [];
	};
	const [ofAda, ofBob] = [await files(ada), await files(bob)];
	// a pull of a third one that was called off, and what a crash leaves
	const dir = join(root, "eve");
	await writeBundle(dir, sampleFiles({ voice: "eve" }), sampleMeta(), key);
	const eve = await readManifestFiles(dir);
	const staged = await store.stage(eve.bytes, eve.signature);
	const unique = parseManifest(eve.bytes).files.find(
		(f) => !ofBob.some((b) => b.sha256 === f.sha256),
	);
	if (!unique) return t.fail("eve has nothing of her own");
	await (await store.partial(unique)).close();
	const partial = join(root, "store", "partial");
	await writeFile(join(partial, ".left.old"), "x");
	t.deepEqual(await store.stagedBundles(), [staged]);

	const freed = await store.drop([ada]);
	t.deepEqual(await store.bundles(), [bob]);
	t.deepEqual(await names(), ofBob.map((f) => f.sha256).sort());
	const own = ofAda.filter((a) => !ofBob.some((b) => b.sha256 === a.sha256));
	t.is(freed, 1 + own.reduce((sum, f) => sum + f.size, 0));
	await t.notThrowsAsync(store.checkout(bob, join(root, "out"), trust));
	// what is still coming keeps its part until it is dropped itself
	t.deepEqual((await readdir(partial)).sort(), [
		...[staged, `${unique.sha256}.part`].sort(),
	]);
	await store.drop([staged]);
	t.deepEqual(await readdir(partial), []);

	// blobs that an unreadable manifest may list stay
	await writeFile(join(store.root, "bundles", bob, "manifest.json"), "{");
	await t.throwsAsync(store.drop([ada]), { code: "E_FILE_FORMAT" });
	t.is((await names()).length, ofBob.length);
});

test("blocks come out as they went in, and nothing comes out past the end", async (t) => {
	const root = await temporaryDir(t);
	const store = new FolderStore(join(root, "store"));
	const dir = join(root, "voice");
	const files = sampleFiles({ decoderBytes: 2_200_000 });
	const { manifest } = await writeBundle(dir, files, sampleMeta(), key);
	const [first] = manifest.files;
	t.is(
		await store.readBlock(first?.sha256 ?? "", 0),
		undefined,
		"not yet here",
	);
	await store.put(dir, trust);
	for (const file of manifest.files) {
		const bytes = await readFile(join(dir, file.name));
		for (let i = 0; i < file.blocks.length; i++)
			t.deepEqual(
				await store.readBlock(file.sha256, i),
				bytes.subarray(i * BLOCK_BYTES, (i + 1) * BLOCK_BYTES),
			);
		t.is(await store.readBlock(file.sha256, file.blocks.length), undefined);
	}
	t.is(await store.readBlock("0".repeat(64), 0), undefined);
	t.is(await store.readManifest("0".repeat(64)), undefined);
	await t.throwsAsync(store.readBlock("../../manifest.json", 0));
});

test("a bundle that is not what was signed does not enter the store", async (t) => {
	const root = await temporaryDir(t);
	const store = new FolderStore(join(root, "store"));
	const dir = join(root, "voice");
	await writeBundle(dir, sampleFiles(), sampleMeta(), key);
	await writeFile(join(dir, "voice.json"), "{}");
	await t.throwsAsync(store.put(dir, trust), { code: "E_TAMPERED" });
	t.deepEqual(await store.bundles(), []);
});

test("a part file keeps the blocks that are right, whatever happened to it", async (t) => {
	const root = await temporaryDir(t);
	const bytes = sampleBytes(5 * BLOCK_BYTES + 7, "part");
	const file = hashBytes(bytes);
	const block = (i: number) =>
		bytes.subarray(i * BLOCK_BYTES, (i + 1) * BLOCK_BYTES);
	const path = join(root, "x.part");
	const first = await PartialBlob.open(path, file);
	t.is(first.missingCount, 6);
	t.false(await first.write(0, block(1)), "another block's bytes");
	t.false(await first.write(5, block(4)), "a block of the wrong length");
	for (const i of [5, 0, 3]) t.true(await first.write(i, block(i)));
	await first.close();

	const second = await PartialBlob.open(path, file);
	t.deepEqual(second.missing(), [1, 2, 4]);
	await t.throwsAsync(second.finish(join(root, "x")), { code: "E_BUG" });

	// what a power cut may leave: a block of zeros, a short file
	const damaged = await readFile(path);
	damaged.fill(0, 0, BLOCK_BYTES);
	await writeFile(path, damaged);
	await truncate(path, 5 * BLOCK_BYTES);
	const third = await PartialBlob.open(path, file);
	t.deepEqual(third.missing(), [0, 1, 2, 4, 5]);
	for (const i of third.missing()) t.true(await third.write(i, block(i)));
	await third.finish(join(root, "x"));
	t.deepEqual(await readFile(join(root, "x")), bytes);
	await t.throwsAsync(stat(path));
});

test("a full disk ends with E_DISK_FULL and leaves a part that resumes", async (t) => {
	const root = await temporaryDir(t);
	const dir = join(root, "voice");
	const { digest } = await writeBundle(dir, sampleFiles(), sampleMeta(), key);
	const full = new FolderStore(join(root, "store"), {
		disk: {
			...systemDisk,
			async open(path, flags, mode) {
				const handle = await systemDisk.open(path, flags, mode);
				if (!(flags & (constants.O_RDWR | constants.O_WRONLY))) return handle;
				let room = 2;
				const writev = handle.writev.bind(handle);
				// takes less than it is given, as a disk may, and then no more
				handle.writev = (async (pieces: readonly Uint8Array[], at: number) => {
					if (room-- > 0) return writev(pieces.slice(0, 1), at);
					throw Object.assign(new Error("no space left"), { code: "ENOSPC" });
				}) as typeof handle.writev;
				return handle;
			},
		},
	});
	await t.throwsAsync(full.put(dir, trust), { code: "E_DISK_FULL" });
	t.deepEqual(await full.bundles(), []);
	t.is((await readdir(join(root, "store", "partial"))).length, 1);
	const roomy = new FolderStore(join(root, "store"));
	t.is(await roomy.put(dir, trust), digest);
});

test("a store whose files are missing or damaged is mended by putting the bundle in again", async (t) => {
	const root = await temporaryDir(t);
	const store = new FolderStore(join(root, "store"));
	const dir = join(root, "ada");
	await writeBundle(dir, sampleFiles({ voice: "ada" }), sampleMeta("ada"), key);
	const digest = await store.put(dir, trust);
	const found = await store.readManifest(digest);
	const [first, second] = parseManifest(found?.bytes ?? Buffer.of()).files;
	if (!first || !second) throw new Error("too few files");
	const path = store.blobPath(first.sha256);
	const good = await readFile(path);
	const bad = Buffer.from(good);
	bad[bad.length - 1] = (bad.at(-1) ?? 0) ^ 1;
	const block = Math.floor((first.size - 1) / BLOCK_BYTES);
	const manifest = join(root, "store", "bundles", digest, "manifest.json");
	const damages: (() => Promise<void>)[] = [
		() => rm(store.blobPath(second.sha256)),
		() => chmod(path, 0o644).then(() => writeFile(path, bad)),
		() => truncate(path, 5),
		() => writeFile(manifest, "{}"),
		() => writeFile(manifest.replace(/json$/, "sig"), "?"),
		() => rm(manifest),
	];
	for (const damage of damages) {
		await chmod(path, 0o644);
		await damage();
		t.is(await store.put(dir, trust), digest);
		const out = await store.checkout(digest, join(root, "out"), trust);
		t.is(out.digest, digest);
		// whoever serves from it has not kept what was wrong
		const served = new FolderStore(join(root, "store"));
		t.deepEqual(
			await served.readBlock(first.sha256, block),
			good.subarray(block * BLOCK_BYTES),
		);
	}
	t.deepEqual(await readdir(join(root, "store", "partial")), []);
});

test("pieces are kept for a while, and what was not there is asked for again", async (t) => {
	let [now, reads] = [0, 0];
	const content = { bytes: Buffer.of() };
	const ahead = new ReadAhead(
		...([2, BLOCK_BYTES] as const),
		async () => {
			reads++;
			return content.bytes;
		},
		() => now,
	);
	const read = async () => (await ahead.read("a", 0, 3)).toString();
	t.is(await read(), "");
	content.bytes = Buffer.from("old");
	t.is(await read(), "old");
	content.bytes = Buffer.from("new");
	t.is(await read(), "old");
	t.is(reads, 2);
	now = 30_000;
	t.is(await read(), "new");
});
