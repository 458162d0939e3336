import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import test, { type ExecutionContext } from "ava";
import { claim, claimantOf } from "./claim.ts";

const MAIN = fileURLToPath(new URL("./testing-claim.js", import.meta.url));

const claimed = (dir: string, name: string) =>
	claim(dir, name, (pid) => `process ${pid} has it`);

async function temporaryDir(t: ExecutionContext): Promise<string> {
	const dir = await mkdtemp(join(tmpdir(), "wattvox-claim-"));
	t.teardown(() => rm(dir, { recursive: true, force: true }));
	return dir;
}

async function processes(t: ExecutionContext, dir: string, count: number) {
	const started = Array.from({ length: count }, () =>
		fork(MAIN, [dir, "r1"], { execArgv: [] }),
	);
	t.teardown(() => {
		for (const child of started) child.kill("SIGKILL");
	});
	await Promise.all(started.map((child) => once(child, "message")));
	return started;
}

async function ask(child: ChildProcess, message: object): Promise<string> {
	const answer = once(child, "message");
	child.send(message);
	return String((await answer)[0]);
}

test("one process at a time, however many want it at once", async (t) => {
	t.timeout(300_000);
	const dir = await temporaryDir(t);
	const rivals = await processes(t, dir, 3);
	const said = await Promise.all(
		rivals.map((rival) => ask(rival, { rounds: 150 })),
	);
	t.log(said.join(", "));
	for (const line of said) t.regex(line, /^won \d+$/);
	t.true(said.some((line) => line !== "won 0"));
	t.is(await claimantOf(dir, "r1"), undefined);
	// what was tried leaves one file behind, not one for every try
	const left = (await readdir(dir)).filter((name) => !/\.claim$/.test(name));
	t.deepEqual(left, []);
	t.true((await readdir(dir)).length <= 2);
});

test("a process that was killed is taken over, by one of those that want to", async (t) => {
	t.timeout(300_000);
	const dir = await temporaryDir(t);
	const [first, ...rivals] = await processes(t, dir, 4);
	if (!first) return t.fail();
	t.is(await ask(first, {}), "held");
	t.is(await claimantOf(dir, "r1"), first.pid);
	for (const rival of rivals) t.is(await ask(rival, {}), "E_BUSY");
	first.kill("SIGKILL");
	await once(first, "exit");
	t.is(await claimantOf(dir, "r1"), undefined);
	const said = await Promise.all(rivals.map((rival) => ask(rival, {})));
	t.deepEqual(said.sort(), ["E_BUSY", "E_BUSY", "held"]);
});

test("a number that another process has got since is no claim; neither is nonsense", async (t) => {
	const dir = await temporaryDir(t);
	for (const [n, text] of [
		"",
		"x",
		"-1 -",
		"4194999 -",
		`${process.pid} other`,
	].entries()) {
		await writeFile(join(dir, `r1.${n + 1}.claim`), text);
		t.is(await claimantOf(dir, "r1"), undefined, text);
	}
	const giveBack = await claimed(dir, "r1");
	t.is(await claimantOf(dir, "r1"), process.pid);
	await t.throwsAsync(claimed(dir, "r1"), {
		code: "E_BUSY",
		message: `process ${process.pid} has it`,
	});
	await (await claimed(dir, "r1x"))();
	await giveBack();
	await giveBack();
	t.is(await claimantOf(dir, "r1"), undefined);
	await t.throwsAsync(claimed(dir, "../r"), { code: "E_USAGE" });
	await writeFile(join(dir, "file"), "");
	await t.throwsAsync(claimed(join(dir, "file"), "r1"), {
		code: "E_OUTPUT",
	});
});
