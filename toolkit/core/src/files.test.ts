import { existsSync } from "node:fs";
import {
	mkdir,
	mkdtemp,
	readdir,
	readFile,
	rm,
	stat,
	writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { ensureWritableDir, writeAtomic } from "./files.ts";

async function scratch(t: { teardown(fn: () => Promise<void>): void }) {
	const dir = await mkdtemp(join(tmpdir(), "wattvox-files-"));
	t.teardown(() => rm(dir, { recursive: true, force: true }));
	return dir;
}

test("it writes text and bytes, makes parents, replaces, keeps the mode, leaves nothing beside", async (t) => {
	const dir = await scratch(t);
	const path = join(dir, "a/b/key.pem");
	await writeAtomic(path, "one", 0o600);
	t.is((await stat(path)).mode & 0o777, 0o600);
	await writeAtomic(path, new Uint8Array([116, 119, 111]));
	t.is(await readFile(path, "utf8"), "two");
	t.deepEqual(await readdir(join(dir, "a/b")), ["key.pem"]);
});

test("below a file it fails with E_OUTPUT and the file stays", async (t) => {
	const dir = await scratch(t);
	const file = join(dir, "file");
	await writeFile(file, "kept");
	await t.throwsAsync(writeAtomic(join(file, "x"), "y"), {
		code: "E_OUTPUT",
		message: /cannot write .*file/,
	});
	await t.throwsAsync(ensureWritableDir(file), { code: "E_OUTPUT" });
	await t.throwsAsync(ensureWritableDir(join(file, "x")), { code: "E_OUTPUT" });
	t.is(await readFile(file, "utf8"), "kept");
});

test("onto a folder it fails and leaves nothing half-written", async (t) => {
	const dir = await scratch(t);
	await mkdir(join(dir, "target/full"), { recursive: true });
	await t.throwsAsync(writeAtomic(join(dir, "target"), "x"), {
		code: "E_OUTPUT",
	});
	t.deepEqual(await readdir(dir), ["target"]);
});

const onLinux = process.platform === "linux" ? test : test.skip;

onLinux("where nobody may write, not even root, it says so", async (t) => {
	await t.throwsAsync(writeAtomic("/proc/wattvox", "x"), { code: "E_OUTPUT" });
	await t.throwsAsync(ensureWritableDir("/proc/self"), { code: "E_OUTPUT" });
});

test("many writers of one file leave one whole version", async (t) => {
	const path = join(await scratch(t), "f");
	const versions = Array.from({ length: 8 }, (_, i) =>
		String(i).repeat(100_000),
	);
	await Promise.all(versions.map((v) => writeAtomic(path, v)));
	t.true(versions.includes(await readFile(path, "utf8")));
});

test("a writable folder passes and no probe stays in it", async (t) => {
	const dir = join(await scratch(t), "new/deep");
	await ensureWritableDir(dir);
	t.true(existsSync(dir));
	t.deepEqual(await readdir(dir), []);
});
