import {
	mkdir,
	mkdtemp,
	readdir,
	readFile,
	rm,
	truncate,
	utimes,
	writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import {
	type EngineKey,
	engineKey,
	type TensorRtFacts,
} from "@wattvox/runtime/tensorrt";
import { ORIN } from "@wattvox/runtime/testing";
import test, { type ExecutionContext } from "ava";
import {
	EngineCache,
	type EngineCacheLimits,
	engineId,
} from "./engine-cache.ts";

const key = (onnx: string, change: Partial<TensorRtFacts> = {}): EngineKey =>
	engineKey({ ...ORIN, ...change }, onnx, {});
const plan = (byte: number, size = 100) => new Uint8Array(size).fill(byte);
const built = { kind: "built", seconds: 3 } as const;

async function cache(t: ExecutionContext, limits?: EngineCacheLimits) {
	const dir = await mkdtemp(join(tmpdir(), "wattvox-engines-"));
	t.teardown(() => rm(dir, { recursive: true, force: true }));
	return new EngineCache(join(dir, "engines"), limits);
}

test("an engine is found by its key, by no other, and by the next process", async (t) => {
	const c = await cache(t);
	t.is(await c.find(key("a")), undefined);
	t.deepEqual(await c.list(), []);
	const put = await c.put(key("a"), plan(1), built);
	t.like(put, { id: engineId(key("a")), size: 100, origin: built });
	const again = new EngineCache(c.dir);
	t.is((await again.find(key("a")))?.sha256, put.sha256);
	const others: Partial<TensorRtFacts>[] = [
		{ tensorrt: "10.3.0.27" },
		{ cuda: "12.5" },
		{ computeCapability: "7.2" },
		{ multiprocessors: 16 },
		{ l4t: "36.4.4" },
		{ module: "Orin NX" },
	];
	for (const change of others)
		t.is(await c.find(key("a", change)), undefined, JSON.stringify(change));
	t.is(await c.find(key("b")), undefined);
});

test("an engine whose bytes changed is gone", async (t) => {
	const c = await cache(t);
	for (const damage of [
		(path: string) => writeFile(path, plan(2)),
		(path: string) => truncate(path, 50),
		(path: string) => rm(path),
		(path: string) => writeFile(join(dirname(path), "engine.json"), "{"),
	]) {
		const { path } = await c.put(key("a"), plan(1), built);
		await damage(path);
		t.is(await c.find(key("a")), undefined);
	}
});

test("an entry under another engine's name is none", async (t) => {
	const c = await cache(t);
	const { path } = await c.put(key("a"), plan(1), built);
	const { path: other } = await c.put(key("b"), plan(1), built);
	await writeFile(
		join(dirname(other), "engine.json"),
		await readFile(join(dirname(path), "engine.json")),
	);
	t.is(await c.find(key("b")), undefined);
});

test("there are never more than the bound: the longest unused goes, and what a crash left", async (t) => {
	const c = await cache(t, { count: 3, bytes: 350 });
	const seconds = Date.now() / 1000;
	for (const [i, name] of ["a", "b", "c"].entries()) {
		const { path } = await c.put(key(name), plan(i), built);
		const age = seconds - 1000 + i;
		await utimes(join(dirname(path), "engine.json"), age, age);
	}
	await c.find(key("a"));
	await writeFile(join(c.dir, "failures.json"), "no JSON");
	const left = join(c.dir, engineId(key("half")));
	await mkdir(left);
	await writeFile(join(left, "engine.plan"), plan(9));
	await c.put(key("d"), plan(4), built);
	const names = async () => (await c.list()).map((e) => e.key.onnx).sort();
	t.deepEqual(await names(), ["a", "c", "d"]);
	t.false((await readdir(c.dir)).includes(engineId(key("half"))));
	// By size: a large one leaves room for itself alone.
	await c.put(key("e"), plan(5, 349), built);
	t.deepEqual(await names(), ["e"]);
	await c.put(key("f"), plan(6, 1000), built);
	t.deepEqual(await names(), ["f"], "the newest stays, whatever its size");
});

test("a timing cache belongs to one kind of machine, failures to an engine and a voice", async (t) => {
	const c = await cache(t);
	t.is(await c.timing(key("a")), undefined);
	await c.setTiming(key("a"), plan(7));
	t.deepEqual(new Uint8Array((await c.timing(key("b"))) ?? []), plan(7));
	t.is(await c.timing(key("a", { tensorrt: "10.4.0.1" })), undefined);

	const [engine, voice] = [engineId(key("a")), "b".repeat(64)];
	const failure = { engine, voice, code: "E_MEMORY" as const, message: "m" };
	await c.fail(failure);
	await c.fail({ ...failure, code: "E_ENGINE_BUILD" });
	await c.fail({ ...failure, voice: "c".repeat(64) });
	t.is((await c.failures()).length, 2);
	await c.forgive(engine, voice);
	t.deepEqual(
		(await c.failures()).map((f) => f.voice),
		["c".repeat(64)],
	);
	for (let i = 0; i < 70; i++)
		await c.fail({ ...failure, engine: i.toString(16).padStart(64, "0") });
	t.is((await c.failures()).length, 64);
	await writeFile(join(c.dir, "failures.json"), "{}");
	t.deepEqual(await c.failures(), []);
});
