import { spawn } from "node:child_process";
import { once } from "node:events";
import {
	mkdir,
	mkdtemp,
	readFile,
	readlink,
	rm,
	stat,
	writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Duplex, PassThrough } from "node:stream";
import test, { type ExecutionContext } from "ava";
import { furnishMachine } from "./machine.ts";
import { newc } from "./newc.ts";
import { furnish } from "./root.ts";
import { Shell } from "./shell.ts";

const never = new AbortController().signal;

/** A shell of this machine at the other end of a line. */
function shell(t: ExecutionContext) {
	const child = spawn("/bin/sh", { stdio: ["pipe", "pipe", "inherit"] });
	t.teardown(async () => {
		if (child.exitCode !== null || child.signalCode !== null) return;
		const gone = once(child, "exit");
		child.kill("SIGKILL");
		await gone;
	});
	const line = Duplex.from({ writable: child.stdin, readable: child.stdout });
	return { child, line, shell: new Shell(line) };
}

test("a command's words and its exit code come back, whatever its quoting", async (t) => {
	const { shell: at } = shell(t);
	const done = await at.run(
		"printf '%s' \"a'b\"; echo ' ü' >&2; exit 3",
		never,
	);
	t.deepEqual(done, { code: 3, said: "a'b ü" });
	// neither its exit nor its folder reaches the next one; standard input holds nothing for it
	t.deepEqual(await at.run("cd /; cat", never), { code: 0, said: "" });
	t.notDeepEqual((await at.run("pwd", never)).said, "/");
});

test("output without an end of line, and much of it, comes back whole", async (t) => {
	const { shell: at } = shell(t);
	const done = await at.run("seq 1 20000; printf end", never);
	t.is(done.said.split("\n").length, 20_001);
	t.true(done.said.startsWith("1\n") && done.said.endsWith("\nend"));
});

test("the answer to a command that was given up is not taken for the next one's", async (t) => {
	const answers = new PassThrough();
	const asked: string[] = [];
	const line = Duplex.from({
		readable: answers,
		writable: (async (source: AsyncIterable<Buffer>) => {
			for await (const bytes of source) asked.push(String(bytes));
		}) as never,
	});
	const at = new Shell(line);
	const enough = new AbortController();
	const first = at.run("first", enough.signal);
	enough.abort(new Error("given up"));
	await t.throwsAsync(first, { message: "given up" });
	const second = at.run("second", never);
	answers.write("@1-\nlate\n\n@1-0\n");
	answers.write("@2-\nsec");
	answers.write("ond\n\n@2-7\n");
	t.deepEqual(await second, { code: 7, said: "second" });
});

test("a line that ends is told, to the command under way and to the next", async (t) => {
	const { shell: at } = shell(t);
	await t.throwsAsync(at.run("kill -KILL $PPID", never), {
		message: /the line to the shell ended/,
	});
	await t.throwsAsync(at.run("true", never), {
		message: /the line to the shell ended/,
	});
});

/** Reads an archive back, by the format's own description. */
function entries(archive: Uint8Array) {
	const bytes = Buffer.from(archive);
	const found: { path: string; mode: number; text: string }[] = [];
	for (let at = 0; ; ) {
		const field = (n: number) =>
			Number.parseInt(
				bytes.toString("latin1", at + 6 + n * 8, at + 14 + n * 8),
				16,
			);
		if (bytes.toString("latin1", at, at + 6) !== "070701")
			throw new Error(`no head at ${at}`);
		const [mode, size, name] = [field(1), field(6), field(11)];
		const path = bytes.toString("utf8", at + 110, at + 109 + name);
		const from = at + Math.ceil((110 + name) / 4) * 4;
		if (path === "TRAILER!!!") return found;
		found.push({ path, mode, text: bytes.toString("utf8", from, from + size) });
		at = from + Math.ceil(size / 4) * 4;
	}
}

test("the kernel's archive holds folders and files, each at a multiple of 4", (t) => {
	const archive = newc([
		{ path: "bin", mode: 0o755 },
		{ path: "bin/one", mode: 0o755, bytes: Buffer.from("12345") },
		{ path: "init", mode: 0o644, bytes: Buffer.from("") },
	]);
	t.is(archive.length % 4, 0);
	t.deepEqual(entries(archive), [
		{ path: "bin", mode: 0o040755, text: "" },
		{ path: "bin/one", mode: 0o100755, text: "12345" },
		{ path: "init", mode: 0o100644, text: "" },
	]);
});

test("a machine of its own starts the shell for the machine outside, and no login", async (t) => {
	const root = await mkdtemp(join(tmpdir(), "wattvox-board-"));
	t.teardown(() => rm(root, { recursive: true, force: true }));
	await furnishMachine(root);
	const units = join(root, "etc/systemd/system");
	const wanted = join(units, "multi-user.target.wants/outside.service");
	t.regex(await readFile(wanted, "utf8"), /^ExecStart=.*10\.0\.2\.100/m);
	const masked = await readlink(join(units, "serial-getty@ttyAMA0.service"));
	t.is(masked, "/dev/null");
});

test("a furnished system has accounts that nobody can log in to, and the files given", async (t) => {
	const dir = await mkdtemp(join(tmpdir(), "wattvox-board-"));
	t.teardown(() => rm(dir, { recursive: true, force: true }));
	const root = join(dir, "root");
	await mkdir(join(root, "usr/share/base-passwd"), { recursive: true });
	await mkdir(join(root, "root"));
	const master = (name: string, text: string) =>
		writeFile(join(root, `usr/share/base-passwd/${name}.master`), text);
	await master("passwd", "root:*:0:0:root:/root:/bin/bash\n");
	await master("group", "root:*:0:\naudio:*:29:\n");
	await writeFile(join(dir, "given"), "here");
	await furnish(root, [join(dir, "given")]);
	const read = (path: string) => readFile(join(root, path), "utf8");
	t.is(await read("etc/passwd"), "root:x:0:0:root:/root:/bin/bash\n");
	t.regex(await read("etc/group"), /^audio:x:29:$/m);
	t.regex(await read("etc/shadow"), /^root:\*:/);
	t.is((await stat(join(root, "etc/shadow"))).mode & 0o777, 0o600);
	t.is(await read("root/given"), "here");
	const target = "etc/systemd/system/default.target";
	t.regex(await readlink(join(root, target)), /multi-user\.target$/);
});
