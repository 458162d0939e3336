import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { formatPeakMemory, MemoryWatch } from "./peak-memory.ts";
import { descendantsOf } from "./process-tree.ts";

/** A tree like /proc: each process's children and its resident kB. */
async function proc(t: ExecutionContext) {
	const dir = await mkdtemp(join(tmpdir(), "wattvox-proc-"));
	t.teardown(() => rm(dir, { recursive: true, force: true }));
	const set = async (pid: number, kB: number, children: number[] = []) => {
		const task = join(dir, String(pid), "task", String(pid));
		await mkdir(task, { recursive: true });
		await writeFile(join(task, "children"), `${children.join(" ")} `);
		await writeFile(
			join(dir, String(pid), "status"),
			`Name:\tx y\nVmHWM:\t  999999 kB\nVmRSS:\t  ${kB} kB\n`,
		);
	};
	const end = (pid: number) => rm(join(dir, String(pid)), { recursive: true });
	return { dir, set, end };
}

test("the most at one moment, children of children included", async (t) => {
	const { dir, set, end } = await proc(t);
	const kernel = 300 * 1024;
	const watch = new MemoryWatch({ proc: dir, pid: 1, ownPeak: () => kernel });
	await set(1, 100, [2]);
	await set(2, 50, [3]);
	await set(3, 25);
	t.deepEqual(descendantsOf(1, dir).sort(), [2, 3]);
	watch.sample();
	// between samples this process alone held more than the sum that was seen
	t.deepEqual(watch.peak(), {
		bytes: kernel,
		own: kernel,
		children: 75 * 1024,
	});
	await set(1, 290, [2]);
	await set(2, 20);
	await end(3);
	watch.sample();
	t.deepEqual(watch.peak(), {
		bytes: 310 * 1024,
		own: kernel,
		children: 75 * 1024,
	});
	await end(2);
	watch.sample();
	t.is(watch.peak().bytes, 310 * 1024);
});

test("of this process and a child that runs", async (t) => {
	const child = spawn(process.execPath, ["-e", "process.stdin.resume()"], {
		stdio: ["pipe", "ignore", "inherit"],
	});
	t.teardown(() => child.kill("SIGKILL"));
	await once(child, "spawn");
	const watch = new MemoryWatch();
	watch.start();
	const { bytes, own, children } = watch.stop();
	t.deepEqual(watch.stop().children, children);
	t.true(own > 20e6, `${own}`);
	t.true(bytes >= own);
	t.true((children ?? 0) > 0, `${children}`);
});

test("where children are not listed, theirs is unknown", (t) => {
	const watch = new MemoryWatch({ proc: "/nonexistent", ownPeak: () => 5e8 });
	watch.sample();
	t.deepEqual(watch.peak(), { bytes: 5e8, own: 5e8, children: null });
	t.regex(formatPeakMemory(watch.peak()), /children unknown/);
});

test("in words", (t) => {
	t.is(
		formatPeakMemory({ bytes: 1.434e9, own: 1.2e9, children: 0.3e9 }),
		"1.43 GB (this process 1.20, its children 0.30)",
	);
});
