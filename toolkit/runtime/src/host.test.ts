import { once } from "node:events";
import { Worker } from "node:worker_threads";
import test from "ava";
import { EngineHost } from "./host.ts";
import { type Answer, type Request, Skips } from "./protocol.ts";
import { tensor } from "./tensor.ts";
import { arithmetic } from "./tiny-model.ts";

const one = () => ({
	a: tensor("float32", [1, 1], Float32Array.of(2)),
	b: tensor("float32", [1, 1], Float32Array.of(3)),
	n: tensor("int64", [1], BigInt64Array.of(4n)),
});
const settings = {
	threads: 1,
	memPattern: false,
	arena: true,
	spinning: false,
	optimise: "all" as const,
};

test("a marked request is not run, the one behind it is", async (t) => {
	const skips = new Skips();
	const worker = new Worker(new URL("./worker.js", import.meta.url), {
		workerData: { skips: skips.shared },
	});
	t.teardown(() => worker.terminate());
	const answers: Answer[] = [];
	worker.on("message", (answer: Answer) => answers.push(answer));
	const run = (id: number): Request => ({
		kind: "run",
		id,
		engine: 1,
		feeds: one(),
		outputs: ["sum"],
	});
	skips.skip(2);
	const requests: Request[] = [
		{ kind: "load", id: 1, model: arithmetic(), settings },
		run(2),
		run(3),
		// 66 shares a slot with 2: another request's mark is not its own
		run(66),
	];
	for (const request of requests) worker.postMessage(request);
	while (answers.length < requests.length) await once(worker, "message");
	t.deepEqual(
		answers.map((a) => [a.id, a.ok || a.code]),
		[
			[1, true],
			[2, "E_INTERRUPTED"],
			[3, true],
			[66, true],
		],
	);
});

/** A thread that answers every request with the marks it sees. */
const MARKS = `
import { parentPort, workerData } from "node:worker_threads";
const marks = new Int32Array(workerData.skips);
parentPort.on("message", ({ id }) =>
	parentPort.postMessage({ id, ok: true, value: [...marks] }));`;

test("what is abandoned at the thread is marked, what is abandoned before it is never sent", async (t) => {
	const host = new EngineHost(
		new URL(`data:text/javascript,${encodeURIComponent(MARKS)}`),
	);
	host.retain();
	const stop = new AbortController();
	const asked = [1, 2, 3, 4].map((engine) =>
		host.ask<number[]>({ kind: "free", engine }, { signal: stop.signal }),
	);
	stop.abort();
	for (const ask of asked) await t.throwsAsync(ask, { code: "E_INTERRUPTED" });
	const last = await host.ask<number[]>({ kind: "free", engine: 5 });
	t.is(last.id, 5);
	t.deepEqual(
		last.value.filter((mark) => mark !== 0),
		[1, 2],
		"two were at the thread",
	);
	await host.release();
	t.false(host.running);
});
