import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { engineContract } from "./engine-contract.ts";
import { EngineHost } from "./host.ts";
import { createEngine } from "./onnx-engine.ts";
import { give, tensor } from "./tensor.ts";
import { arithmetic, heavy, tinyModel } from "./tiny-model.ts";

const one = () => ({
	a: tensor("float32", [1, 1], Float32Array.of(2)),
	b: tensor("float32", [1, 1], Float32Array.of(3)),
	n: tensor("int64", [1], BigInt64Array.of(4n)),
});

test("ONNX Runtime in a worker keeps the engine contract", async (t) => {
	await engineContract(t, (model) => createEngine(model));
});

test("the contract holds with several threads and other memory settings", async (t) => {
	await engineContract(t, (model) =>
		createEngine(model, { threads: 2, arena: false, memPattern: true }),
	);
});

test("a model is loaded from a file; a missing file is named", async (t) => {
	const dir = await mkdtemp(join(tmpdir(), "wattvox-runtime-"));
	t.teardown(() => rm(dir, { recursive: true }));
	const path = join(dir, "m.onnx");
	await writeFile(path, arithmetic());
	const engine = await createEngine(path);
	t.deepEqual([...((await engine.run(one())).product?.data ?? [])], [6]);
	await engine.dispose();
	await t.throwsAsync(createEngine(join(dir, "none.onnx")), {
		code: "E_FILE_MISSING",
		message: /none\.onnx/,
	});
});

test("a lent model stays the caller's, a given one is gone", async (t) => {
	const lent = arithmetic();
	const given = arithmetic();
	const first = createEngine(lent);
	lent.fill(0); // what happens to it now must not matter
	const engines = [await first, await createEngine({ given })];
	t.true(lent.length > 0);
	t.is(given.length, 0);
	for (const engine of engines) {
		t.is((await engine.run(one())).sum?.data[0], 5);
		await engine.dispose();
	}
	await t.throwsAsync(createEngine({ given: new Uint8Array(8).subarray(1) }), {
		code: "E_BUG",
	});
});

test("running out of memory has a code of its own", async (t) => {
	const model = tinyModel({
		nodes: [{ op: "Expand", inputs: ["x", "dims"], outputs: ["y"] }],
		inputs: [
			["x", 1, [1]],
			["dims", 7, [2]],
		],
		outputs: [["y", 1, ["A", "B"]]],
	});
	const engine = await createEngine(model);
	const x = tensor("float32", [1], Float32Array.of(1));
	const huge = tensor("int64", [2], BigInt64Array.of(1n << 20n, 1n << 24n));
	await t.throwsAsync(engine.run({ x, dims: huge }), { code: "E_MEMORY" });
	const small = tensor("int64", [2], BigInt64Array.of(1n, 2n));
	t.is((await engine.run({ x, dims: small })).y?.data.length, 2);
	await engine.dispose();
});

test("when the thread ends, what waits is told, and the next engine gets a new one", async (t) => {
	const host = new EngineHost(
		new URL("data:text/javascript,setImmediate(() => process.exit(3))"),
	);
	await t.throwsAsync(createEngine(arithmetic(), { host }), {
		code: "E_BUG",
		message: /thread ended/,
	});
	t.false(host.running);
	t.is(host.generation, 1);
	await t.throwsAsync(createEngine(arithmetic(), { host }), { code: "E_BUG" });
	t.is(host.generation, 2);
});

test("an operator ONNX Runtime lacks is E_MODEL and named", async (t) => {
	const model = tinyModel({
		nodes: [{ op: "Teleport", inputs: ["x"], outputs: ["y"] }],
		inputs: [["x", 1, [1]]],
		outputs: [["y", 1, [1]]],
	});
	await t.throwsAsync(createEngine(model), {
		code: "E_MODEL",
		message: /Teleport/,
	});
});

test("several engines share one thread; it ends with the last and starts anew", async (t) => {
	const host = new EngineHost();
	const [a, b] = await Promise.all([
		createEngine(arithmetic(), { host }),
		createEngine(heavy(2), { host }),
	]);
	const x = tensor("float32", [1, 1], Float32Array.of(3));
	t.deepEqual([...((await b.run({ x })).y?.data ?? [])], [27]);
	await a.dispose();
	t.deepEqual([...((await b.run({ x })).y?.data ?? [])], [27]);
	await b.dispose();
	t.false(host.running);
	const c = await createEngine(arithmetic(), { host });
	t.true(host.running);
	t.is((await c.run(one())).sum?.data[0], 5);
	await c.dispose();
});

test("loading can be abandoned, and what was loaded meanwhile is let go", async (t) => {
	const host = new EngineHost();
	const stop = new AbortController();
	const loading = createEngine(arithmetic(), { host, signal: stop.signal });
	stop.abort();
	await t.throwsAsync(loading, { code: "E_INTERRUPTED" });
	const engine = await createEngine(arithmetic(), { host });
	t.is((await engine.run(one())).sum?.data[0], 5);
	await engine.dispose();
	t.false(host.running);
});

test("the event loop turns while a model runs", async (t) => {
	const engine = await createEngine(heavy(200));
	const n = 160;
	let turns = 0;
	const timer = setInterval(() => turns++, 1);
	await engine.run({
		x: give(tensor("float32", [n, n], new Float32Array(n * n).fill(1 / n))),
	});
	clearInterval(timer);
	await engine.dispose();
	t.true(turns >= 3, `${turns} turns`);
});

test("give() refuses a part of a buffer, tensor() a wrong length", (t) => {
	const part = new Float32Array(4).subarray(1);
	t.throws(() => give(tensor("float32", [3], part)), { code: "E_BUG" });
	t.throws(() => tensor("float32", [3], new Float32Array(4)), {
		code: "E_MODEL",
	});
});
