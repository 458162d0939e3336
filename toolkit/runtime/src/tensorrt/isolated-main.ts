// The child behind runIsolated: does one task and ends. What it does may crash, hang or swallow memory.
import { readFile, writeFile } from "node:fs/promises";
import { asWattvoxError, WattvoxError, writeAtomic } from "@wattvox/core";
import type { Results } from "../engine.ts";
import { buildHere } from "./build-here.ts";
import type { ChildMessage, Task } from "./isolated.ts";
import { NativeTensorRt } from "./open.ts";
import type { Refitted, Trial } from "./types.ts";

const say = (message: ChildMessage) =>
	new Promise<void>((resolve) => {
		if (process.send) process.send(message, () => resolve());
		else resolve();
	});

async function work(task: Task): Promise<unknown> {
	const trt = await NativeTensorRt.open(task.library);
	switch (task.kind) {
		case "facts":
			return trt.facts;
		case "build":
			return buildHere(trt, task.onnx, task.options, (progress) => {
				void say({ kind: "progress", progress });
			});
		case "trial":
			return tried(trt, task);
		case "refit":
			return refitted(trt, task);
	}
}

async function tried(
	trt: NativeTensorRt,
	task: Extract<Task, { kind: "trial" }>,
): Promise<Trial> {
	const plan =
		typeof task.engine === "string" ? await readFile(task.engine) : task.engine;
	const [engine, loadSeconds] = await timed(() =>
		trt.deserialize(plan, { ports: task.ports }),
	);
	const outputs: Results[] = [];
	const seconds: number[] = [];
	for (const feeds of task.feeds) {
		const [results, took] = await timed(() => engine.run(feeds));
		outputs.push(results);
		seconds.push(took);
	}
	const { tensors, refittable } = engine;
	// Closing is part of what must not crash.
	await engine.dispose();
	await trt.close();
	return {
		outputs,
		seconds,
		loadSeconds,
		tensors,
		refittable,
		facts: trt.facts,
		log: trt.lastLog(),
	};
}

async function refitted(
	trt: NativeTensorRt,
	task: Extract<Task, { kind: "refit" }>,
): Promise<Refitted> {
	const [, seconds] = await timed(async () => {
		const engine = await trt.deserialize(await readFile(task.engine));
		const allowed = new Set(engine.refittable);
		const lost = task.needed?.find((name) => !allowed.has(name));
		if (lost !== undefined)
			throw new WattvoxError(
				"E_ENGINE_REFIT",
				`the engine does not allow the weight ${lost} to be replaced`,
			);
		// All of them: a layer fused from several weights wants them together.
		const weights = Object.entries(task.weights).filter(([name]) =>
			allowed.has(name),
		);
		await engine.refit(Object.fromEntries(weights));
		const plan = await engine.serialize();
		// Closing is part of what must not crash.
		await engine.dispose();
		await trt.close();
		await writeAtomic(task.out, plan);
	});
	return { seconds, facts: trt.facts, log: trt.lastLog() };
}

async function timed<T>(body: () => Promise<T>): Promise<[T, number]> {
	const begin = performance.now();
	const value = await body();
	return [value, (performance.now() - begin) / 1000];
}

// Without a parent there is nobody to work for, and nothing that waits can be relied on to end.
process.on("disconnect", () => process.kill(process.pid, "SIGKILL"));
process.once("message", async (task: Task) => {
	// When memory runs out, the kernel is to take this process and not the one that speaks.
	await writeFile("/proc/self/oom_score_adj", "1000").catch(() => undefined);
	try {
		await say({ kind: "done", value: await work(task) });
	} catch (thrown) {
		const { code, message } = asWattvoxError(thrown);
		await say({ kind: "failed", code, message });
	}
	process.exit(0);
});
