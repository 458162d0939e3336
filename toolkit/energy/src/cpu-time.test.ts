import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { Worker } from "node:worker_threads";
import test from "ava";
import { processCpuClock } from "./cpu-time.ts";

const BURN =
	"const t = process.cpuUsage(); while (process.cpuUsage(t).user < 300e3);";

test.serial("counts the work of threads", async (t) => {
	const clock = processCpuClock();
	const before = clock();
	const worker = new Worker(BURN, { eval: true });
	await new Promise((resolve) => worker.once("exit", resolve));
	t.true(clock() - before >= 300e3);
});

test.serial("counts the work of children, running and ended", async (t) => {
	const clock = processCpuClock();
	const before = clock();
	const own = process.cpuUsage();
	const child = promisify(execFile)(process.execPath, [
		"-e",
		`${BURN} console.log("busy"); process.stdin.once("data", () => process.exit());`,
	]);
	await new Promise((resolve) => child.child.stdout?.once("data", resolve));
	const running = clock();
	// What this process spent itself is not the child's.
	const { user, system } = process.cpuUsage(own);
	t.true(running - before - user - system >= 250e3);
	child.child.stdin?.end("\n");
	await child;
	t.true(clock() >= running);
});

test("never runs backwards", (t) => {
	const clock = processCpuClock();
	let last = 0;
	for (let i = 0; i < 200; i++) {
		const now = clock();
		t.true(now >= last);
		last = now;
	}
});
