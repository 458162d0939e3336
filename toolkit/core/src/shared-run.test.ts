import test from "ava";
import { SharedRun } from "./shared-run.ts";

test("who asks while one run is under way shares the one after it", async (t) => {
	const ends: (() => void)[] = [];
	const shared = new SharedRun(
		() => new Promise<void>((resolve) => ends.push(resolve)),
	);
	const turn = () => new Promise<void>((resolve) => setImmediate(resolve));
	const done: string[] = [];
	const ask = (name: string) => shared.run().then(() => done.push(name));
	const asked = [ask("a"), ask("b")];
	await turn();
	t.is(ends.length, 1, "both were there before it began");
	asked.push(ask("c"), ask("d"));
	await turn();
	t.is(ends.length, 1, "the next waits for the first");
	ends[0]?.();
	await turn();
	t.deepEqual(done, ["a", "b"]);
	t.is(ends.length, 2);
	ends[1]?.();
	await Promise.all(asked);
	t.deepEqual(done, ["a", "b", "c", "d"]);
});

test("a run that fails fails for those who shared it, and for nobody else", async (t) => {
	let runs = 0;
	const shared = new SharedRun(async () => {
		if (++runs === 1) throw new Error("first");
	});
	const first = [shared.run(), shared.run()];
	for (const run of first) await t.throwsAsync(run, { message: "first" });
	await shared.run();
	t.is(runs, 2);
});
