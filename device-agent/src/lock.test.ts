import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import test, { type ExecutionContext } from "ava";
import { agentOf, lockDir } from "./lock.ts";

const MAIN = fileURLToPath(new URL("./testing-lock.js", import.meta.url));

async function folder(t: ExecutionContext): Promise<string> {
	const dir = await mkdtemp(join(tmpdir(), "wattvox-lock-"));
	t.teardown(() => rm(dir, { recursive: true, force: true }));
	return dir;
}

async function rival(t: ExecutionContext, dir: string): Promise<ChildProcess> {
	const child = fork(MAIN, [dir], { execArgv: [] });
	t.teardown(() => child.kill("SIGKILL"));
	await once(child, "message");
	return child;
}

async function ask(child: ChildProcess): Promise<string> {
	const answer = once(child, "message");
	child.send("take it");
	return String((await answer)[0]);
}

test("an agent that was killed is followed by one, however many want to", async (t) => {
	t.timeout(120_000);
	const dir = await folder(t);
	const rivals = await Promise.all(
		Array.from({ length: 4 }, () => rival(t, dir)),
	);
	for (let round = 0; round < 6; round++) {
		const said = await Promise.all(rivals.map(ask));
		t.deepEqual(said.toSorted(), ["E_BUSY", "E_BUSY", "E_BUSY", "held"]);
		const at = said.indexOf("held");
		const holder = rivals[at] as ChildProcess;
		t.is(await agentOf(dir), holder.pid);
		const ended = once(holder, "exit");
		holder.kill("SIGKILL");
		await ended;
		t.is(await agentOf(dir), undefined);
		rivals[at] = await rival(t, dir);
	}
	t.is((await readdir(dir)).length, 1, "what was tried leaves nothing behind");
});

test("a data folder has one agent; it is given back, and nonsense holds nothing", async (t) => {
	const dir = await folder(t);
	const unlock = await lockDir(dir);
	t.is(await agentOf(dir), process.pid);
	await t.throwsAsync(lockDir(dir), {
		code: "E_BUSY",
		message: /another agent \(process \d+\) uses/,
	});
	await unlock();
	await unlock();
	t.is(await agentOf(dir), undefined);
	const [own] = (await readdir(dir)).filter((name) => name.endsWith(".claim"));
	// the process of this number has begun at another time, or on another boot of the machine
	for (const left of ["", "x", "-4 -", `${process.pid} before`, "4194999 -"]) {
		await writeFile(join(dir, own as string), left);
		t.is(await agentOf(dir), undefined, left);
	}
	await (await lockDir(dir))();
	await writeFile(join(dir, "file"), "");
	await t.throwsAsync(lockDir(join(dir, "file")), { code: "E_OUTPUT" });
});
