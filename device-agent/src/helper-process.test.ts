import { type ChildProcess, spawn } from "node:child_process";
import { EventEmitter } from "node:events";
import { setImmediate } from "node:timers/promises";
import test from "ava";
import { forkHelper, lastWord } from "./helper-process.ts";

test("what a process says last counts, also where its end is heard first", async (t) => {
	const child = Object.assign(new EventEmitter(), { pid: 7 });
	let said: string | undefined;
	child.on("message", (message) => {
		said = message;
	});
	const ended = lastWord(child as unknown as ChildProcess).then((how) => ({
		how,
		said,
	}));
	child.emit("exit", 0, null);
	// all that would follow from that has come
	await setImmediate();
	child.emit("message", "done");
	child.emit("close", 0, null);
	t.deepEqual(await ended, { how: "0", said: "done" });
});

test("a process that was ended says by what; a message that did not reach it is no end", async (t) => {
	const child = Object.assign(new EventEmitter(), { pid: 7 });
	const ended = lastWord(child as unknown as ChildProcess);
	child.emit("error", new Error("write EPIPE"));
	child.emit("close", null, "SIGKILL");
	t.is(await ended, "SIGKILL");
});

test("a process that the system does not start is said to be so", async (t) => {
	await t.throwsAsync(lastWord(spawn("/nowhere/node")), {
		code: "E_MEMORY",
		message: /starts no process: spawn .*ENOENT/,
	});
	// longer than any argument may be
	const long = "x".repeat(4 << 20);
	const err = t.throws(() => {
		const child = forkHelper(new URL("./no-main.js", import.meta.url), long, 8);
		child.kill("SIGKILL");
	});
	t.like(err, { code: "E_MEMORY" });
});
