import { spawn } from "node:child_process";
import {
	chmod,
	copyFile,
	mkdir,
	mkdtemp,
	readFile,
	rm,
	writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import test, { type ExecutionContext } from "ava";

const RUN = fileURLToPath(new URL("../../.ci/run", import.meta.url));

interface Programs {
	debian?: string;
	npmCi?: string;
	biome?: string;
	tsc?: string;
	npmTest?: string;
}

/** What ava's TAP report ends with. */
const report = (pass: number, skip: number, fail: number) =>
	[
		"echo 'ok 1 - a \u203a it works'",
		"echo 'not ok 2 - b \u203a it does not'",
		"echo 'ok 3 - c \u203a it cannot # SKIP'",
		`printf '1..3\\n# tests 3\\n# pass ${pass}\\n# skip ${skip}\\n# fail ${fail}\\n'`,
	].join("\n");

/** A checkout with `.ci/run` as it is and every program that it calls replaced by a few lines of shell. */
async function checkout(t: ExecutionContext, p: Programs): Promise<string> {
	const dir = await mkdtemp(join(tmpdir(), "wattvox-ci-"));
	t.teardown(() => rm(dir, { recursive: true, force: true, maxRetries: 3 }));
	const script = async (path: string, body: string) => {
		await writeFile(join(dir, path), `#!/bin/bash\n${body}\n`);
		await chmod(join(dir, path), 0o755);
	};
	for (const d of [".ci", "bin", "node_modules/.bin"])
		await mkdir(join(dir, d), { recursive: true });
	await copyFile(RUN, join(dir, ".ci/run"));
	await script(".ci/debian", p.debian ?? "exit 0");
	await script("node_modules/.bin/biome", p.biome ?? "exit 0");
	await script("node_modules/.bin/tsc", p.tsc ?? "exit 0");
	await script(
		"bin/npm",
		`if [ "$1" = ci ]; then ${p.npmCi ?? "exit 0"}; fi\nif [ "$1" = run ]; then exit 0; fi\n${p.npmTest ?? report(3, 0, 0)}`,
	);
	return dir;
}

/** Starts it as a build server does, its output in a pipe; `when` sees all that it has said so far. */
function start(
	dir: string,
	env: Record<string, string> = {},
	when?: (said: string, stop: () => void) => void,
): Promise<{ code: number | null; last: string; said: string }> {
	const child = spawn(join(dir, ".ci/run"), {
		env: { PATH: `${join(dir, "bin")}:${process.env.PATH}`, ...env },
		stdio: ["pipe", "pipe", "inherit"],
	});
	let said = "";
	child.stdout.on("data", (d) => {
		said += d;
		when?.(said, () => child.kill("SIGTERM"));
	});
	return new Promise((resolve, reject) => {
		child.on("error", reject);
		// "close" comes when nobody holds the pipe any more
		child.on("close", (code) => {
			const last = said.trimEnd().split("\n").at(-1) ?? "";
			resolve({ code, last, said });
		});
	});
}

interface Case {
	name: string;
	programs: Programs;
	last: string;
	code: number;
	says?: RegExp;
	/** A process is still there at the end; its id is in the file `left`. */
	leaves?: boolean;
	env?: Record<string, string>;
}

const CASES: Case[] = [
	{
		name: "all is well",
		programs: {},
		last: "3 passed, 0 failed",
		code: 0,
	},
	{
		name: "a failed and a skipped test count once each, and are named at the end",
		programs: { npmTest: `${report(7, 1, 1)}\nexit 1` },
		last: "7 passed, 2 failed",
		code: 1,
		says: /not ok 2 - b.*\nok 3 - c.*SKIP\n\n7 passed/,
	},
	{
		name: "lint and packages that fail do not keep the tests from running",
		programs: { biome: "exit 1", debian: "exit 100" },
		last: "3 passed, 2 failed",
		code: 1,
		says: /== failed: \.ci\/debian .*: exit status 100/,
	},
	{
		name: "no dependencies: a second attempt, then the end",
		programs: { npmCi: "echo no network; exit 1" },
		last: "0 passed, 1 failed",
		code: 1,
		says: /no network.*no network/s,
	},
	{
		name: "types that do not fit end it",
		programs: { tsc: "exit 2" },
		last: "0 passed, 1 failed",
		code: 1,
	},
	{
		name: "no test at all is a failure",
		programs: { npmTest: "exit 0" },
		last: "0 passed, 1 failed",
		code: 1,
	},
	{
		name: "tests that pass and then end badly are a failure",
		programs: { npmTest: `${report(3, 0, 0)}\nexit 3` },
		last: "3 passed, 1 failed",
		code: 1,
	},
	{
		name: "tests that never end are ended, and what was reported is counted",
		programs: {
			npmTest:
				"echo 'ok 1 - a'; echo 'ok 2 - b # SKIP'; echo 'not ok 3 - c'; sleep 600",
		},
		env: { CI_LIMIT: "3" },
		last: "1 passed, 3 failed",
		code: 1,
		says: /no end within \d s/,
	},
	{
		name: "a program that asks a question gets no answer",
		programs: { debian: "read -r answer || exit 9" },
		last: "3 passed, 1 failed",
		code: 1,
		says: /exit status 9/,
	},
	{
		name: "a program left behind does not hold the output open",
		programs: { debian: "setsid sleep 600 & echo $! >left; exit 0" },
		leaves: true,
		last: "3 passed, 0 failed",
		code: 0,
	},
	{
		name: "no home folder",
		programs: { npmCi: '[ -w "$HOME" ] || exit 1; exit 0' },
		env: { HOME: "/nonexistent" },
		last: "3 passed, 0 failed",
		code: 0,
	},
];

for (const c of CASES)
	test(`.ci/run: ${c.name}`, async (t) => {
		const dir = await checkout(t, c.programs);
		const ended = await start(dir, c.env);
		t.is(ended.last, c.last, ended.said);
		t.is(ended.code, c.code);
		if (c.says) t.regex(ended.said, c.says);
		if (!c.leaves) return;
		// was not waited for: it is there to be ended
		const left = Number(await readFile(join(dir, "left"), "utf8"));
		t.true(left > 1 && process.kill(left));
	});

test(".ci/run: told to stop, it says what it knows and ends what runs", async (t) => {
	const dir = await checkout(t, {
		npmTest: "echo 'ok 1 - a'; exec sleep 600",
	});
	const ended = await start(dir, {}, (said, stop) => {
		if (said.includes("ok 1 - a")) stop();
	});
	t.is(ended.last, "1 passed, 1 failed");
	t.regex(ended.said, /told to stop/);
});
