import {
	chmod,
	copyFile,
	mkdir,
	readdir,
	readFile,
	rename,
	stat,
	symlink,
	writeFile,
} from "node:fs/promises";
import { join } from "node:path";
import { WattvoxError } from "@wattvox/core";
import test from "ava";
import fc from "fast-check";
import { openBundle } from "./bundle.ts";
import { canonicalBytes, parseCanonical } from "./canonical.ts";
import { inspectBundle } from "./inspect.ts";
import { newKey, trustKeys } from "./keys.ts";
import { parseSignature, signatureBytes, signBytes } from "./signature.ts";
import {
	sampleBytes,
	sampleFiles,
	sampleMeta,
	temporaryDir,
} from "./testing.ts";
import { writeBundle } from "./write.ts";

const key = newKey();
const trust = trustKeys([key.publicKey]);

async function sample(t: Parameters<typeof temporaryDir>[0]) {
	const dir = join(await temporaryDir(t), "voice");
	const written = await writeBundle(dir, sampleFiles(), sampleMeta(), key);
	return { dir, ...written };
}

test("a written bundle opens and names its files by role", async (t) => {
	const { dir, digest } = await sample(t);
	const bundle = await openBundle(dir, trust);
	t.is(bundle.digest, digest);
	t.is(bundle.signer, key.id);
	t.false(bundle.expired);
	t.deepEqual(
		await readFile(bundle.path("text")),
		sampleBytes(131_072, "base"),
	);
	t.deepEqual(
		bundle.manifest.files.map((f) => f.blocks.length),
		[2, 5, 1, 1],
	);
	t.throws(() => bundle.path("golden"), { code: "E_FILE_FORMAT" });
});

test("one changed byte anywhere in any file is found", async (t) => {
	const { dir, manifest } = await sample(t);
	for (const file of manifest.files) {
		const path = join(dir, file.name);
		const bytes = await readFile(path);
		await fc.assert(
			fc.asyncProperty(fc.nat(file.size - 1), async (at) => {
				const changed = Buffer.from(bytes);
				changed[at] = (changed[at] ?? 0) ^ 1;
				await writeFile(path, changed);
				await t.throwsAsync(openBundle(dir, trust), { code: "E_TAMPERED" });
			}),
			{ numRuns: 5 },
		);
		await writeFile(path, bytes);
	}
	await t.notThrowsAsync(openBundle(dir, trust));
});

test("a changed manifest is refused before it is parsed", async (t) => {
	const { dir } = await sample(t);
	await writeFile(join(dir, "manifest.json"), "{ not even JSON");
	await t.throwsAsync(openBundle(dir, trust), { code: "E_SIGNATURE" });
});

test("another key's bundle is refused, and so is another document's signature", async (t) => {
	const { dir } = await sample(t);
	const other = trustKeys([newKey().publicKey]);
	await t.throwsAsync(openBundle(dir, other), { code: "E_SIGNATURE" });
	const bytes = await readFile(join(dir, "manifest.json"));
	const wrong = signatureBytes(signBytes("desired", bytes, key));
	await writeFile(join(dir, "manifest.sig"), wrong);
	await t.throwsAsync(openBundle(dir, trust), { code: "E_SIGNATURE" });
	await writeFile(join(dir, "manifest.sig"), "nonsense");
	await t.throwsAsync(openBundle(dir, trust), { code: "E_SIGNATURE" });
});

test("mix and match: files of one bundle under the manifest of another are refused", async (t) => {
	const one = await sample(t);
	const two = join(await temporaryDir(t), "voice");
	const others = sampleFiles({ voice: "berta" });
	await writeBundle(two, others, sampleMeta("berta"), key);
	for (const name of ["manifest.json", "manifest.sig"])
		await copyFile(join(two, name), join(one.dir, name));
	const opened = openBundle(one.dir, trust);
	await t.throwsAsync(opened, { code: "E_TAMPERED" });
});

test("links, missing files, extra files and resized files are refused", async (t) => {
	const { dir } = await sample(t);
	const voice = join(dir, "voice.json");
	await rename(voice, `${dir}.aside`);
	await t.throwsAsync(openBundle(dir, trust), {
		code: "E_TAMPERED",
		message: /voice.json is missing/,
	});
	await symlink(`${dir}.aside`, voice);
	await t.throwsAsync(openBundle(dir, trust), {
		code: "E_TAMPERED",
		message: /not a regular file/,
	});
	await rename(`${dir}.aside`, voice);
	await writeFile(join(dir, "weights.bin"), "x");
	await t.throwsAsync(openBundle(dir, trust), {
		code: "E_TAMPERED",
		message: /weights.bin is not in the manifest/,
	});
});

test("a signed manifest that leaves the folder or lies about blocks is refused", async (t) => {
	const { dir, manifest } = await sample(t);
	const [first, ...rest] = manifest.files;
	const bad = [
		{ ...first, name: "../text.onnx" },
		{ ...first, name: ".hidden" },
		{ ...first, name: "manifest.sig" },
		{ ...first, name: "voice.json" },
		{ ...first, size: 1 },
	];
	for (const file of bad) {
		const bytes = canonicalBytes({ ...manifest, files: [file, ...rest] });
		await writeFile(join(dir, "manifest.json"), bytes);
		const signature = signatureBytes(signBytes("manifest", bytes, key));
		await writeFile(join(dir, "manifest.sig"), signature);
		await t.throwsAsync(openBundle(dir, trust), { code: "E_FILE_FORMAT" });
	}
});

test("expiry is reported and does not keep a voice from opening", async (t) => {
	const { dir } = await sample(t);
	const bundle = await openBundle(dir, trust, { now: Date.UTC(2200, 0, 1) });
	t.true(bundle.expired);
});

test("nothing is half written: a bad source leaves no folder", async (t) => {
	const root = await temporaryDir(t);
	const files = [
		...sampleFiles(),
		{ role: "golden" as const, name: "golden.json", path: join(root, "none") },
	];
	const dir = join(root, "voice");
	await t.throwsAsync(writeBundle(dir, files, sampleMeta(), key), {
		code: "E_FILE_MISSING",
	});
	t.deepEqual(await readdir(root), []);
	const named = [
		{ role: "text" as const, name: "../x", bytes: Buffer.from("") },
	];
	await t.throwsAsync(writeBundle(dir, named, sampleMeta(), key), {
		code: "E_FILE_FORMAT",
	});
});

test("a bundle replaces a bundle, and never another folder", async (t) => {
	const { dir } = await sample(t);
	const again = await writeBundle(dir, sampleFiles(), sampleMeta("bob"), key);
	t.is((await openBundle(dir, trust)).digest, again.digest);
	const other = `${dir}-other`;
	await mkdir(other);
	await writeFile(join(other, "thesis.txt"), "irreplaceable");
	await t.throwsAsync(writeBundle(other, sampleFiles(), sampleMeta(), key), {
		code: "E_OUTPUT",
	});
	t.deepEqual(await readdir(other), ["thesis.txt"]);
});

test("an unwritable place ends with E_OUTPUT", async (t) => {
	const root = await temporaryDir(t);
	await writeFile(join(root, "file"), "");
	await t.throwsAsync(
		writeBundle(join(root, "file", "voice"), sampleFiles(), sampleMeta(), key),
		{ code: "E_OUTPUT" },
	);
	t.true((await stat(join(root, "file"))).isFile());
});

test("inspect tells trusted from unknown and bad, and lists what is wrong", async (t) => {
	const { dir, digest } = await sample(t);
	const good = await inspectBundle(dir, trust);
	t.like(good, { digest, signature: "trusted", problems: [], expired: false });
	t.is((await inspectBundle(dir)).signature, "unknown");
	await writeFile(join(dir, "voice.json"), "{}");
	const signature = signatureBytes(signBytes("desired", Buffer.from(""), key));
	await writeFile(join(dir, "manifest.sig"), signature);
	const bad = await inspectBundle(dir, trust);
	t.is(bad.signature, "bad");
	t.is(bad.problems.length, 1);
});

test("canonical JSON: sorted, compact, and the only form that parses", (t) => {
	const bytes = canonicalBytes({ b: [1, 1e21, "é"], a: { d: null, c: true } });
	t.is(bytes.toString(), '{"a":{"c":true,"d":null},"b":[1,1e+21,"é"]}');
	t.deepEqual(parseCanonical(bytes, "x"), JSON.parse(bytes.toString()));
	for (const text of [
		'{"a":1,"a":1}',
		'{"a": 1}',
		'{"b":1,"a":1}',
		"{",
		'"\\u0041"',
	])
		t.throws(() => parseCanonical(Buffer.from(text), "x"), {
			code: "E_FILE_FORMAT",
		});
	fc.assert(
		fc.property(fc.jsonValue(), (value) => {
			const once = canonicalBytes(value);
			return canonicalBytes(parseCanonical(once, "x")).equals(once);
		}),
	);
});

test("whichever byte of whichever file is changed, the bundle does not open", async (t) => {
	const dir = join(await temporaryDir(t), "bundle");
	await writeBundle(dir, sampleFiles(), sampleMeta(), key);
	const names = (await readdir(dir)).sort();
	await fc.assert(
		fc.asyncProperty(
			fc.constantFrom(...names),
			fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
			fc.integer({ min: 1, max: 255 }),
			async (name, where, flip) => {
				const path = join(dir, name);
				const good = await readFile(path);
				const at = Math.floor(where * good.byteLength);
				const bad = Buffer.from(good);
				bad[at] = (bad[at] ?? 0) ^ flip;
				await chmod(path, 0o644);
				await writeFile(path, bad);
				try {
					await openBundle(dir, trust);
					t.fail(`${name}, byte ${at}, flipped by ${flip}`);
				} catch (thrown) {
					t.true(thrown instanceof WattvoxError, String(thrown));
				} finally {
					await writeFile(path, good);
				}
			},
		),
		{ numRuns: 150 },
	);
	await openBundle(dir, trust);
});

test("a signature has one form", async (t) => {
	const { signature, ...rest } = signBytes("desired", Buffer.from("{}"), key);
	// the last of the 86 characters carries two bits; the other four must be zero
	const last = signature.charCodeAt(85);
	const other = `${signature.slice(0, 85)}${String.fromCharCode(last + 1)}==`;
	t.deepEqual(Buffer.from(other, "base64"), Buffer.from(signature, "base64"));
	t.notThrows(() => parseSignature(signatureBytes({ ...rest, signature })));
	for (const bytes of [
		signatureBytes({ ...rest, signature: other }),
		Buffer.from(JSON.stringify({ ...rest, signature }, null, 1)),
	])
		t.throws(() => parseSignature(bytes), { code: "E_SIGNATURE" });
});
