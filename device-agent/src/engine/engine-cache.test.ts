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
import type { EngineCacheLimits } from "./cache-bounds.ts";
import { EngineCache } from "./engine-cache.ts";
import { engineId } from "./entries.ts";

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
	await c.failures.add(failure);
	await c.failures.add({ ...failure, code: "E_ENGINE_BUILD" });
	await c.failures.add({ ...failure, voice: "c".repeat(64) });
	t.is((await c.failures.list()).length, 2);
	await c.failures.forgive(engine, voice);
	t.deepEqual(
		(await c.failures.list()).map((f) => f.voice),
		["c".repeat(64)],
	);
	for (let i = 0; i < 70; i++)
		await c.failures.add({
			...failure,
			engine: i.toString(16).padStart(64, "0"),
		});
	t.is((await c.failures.list()).length, 64);
	await writeFile(join(c.dir, "failures.json"), "{}");
	t.deepEqual(await c.failures.list(), []);
});

const VOICE = "a".repeat(64);
/** Keeps a refitted copy of an engine. */
async function refit(
	c: EngineCache,
	name: string,
	voice = VOICE,
	bytes = plan(9),
) {
	const entry = await c.find(key(name));
	if (!entry) throw new Error(`no engine ${name}`);
	const made = await c.refit(entry, voice, (path) => writeFile(path, bytes));
	return { entry, made };
}

test("a refitted copy is found for its engine, that engine's bytes and its voice, and by nothing else", async (t) => {
	const c = await cache(t);
	await c.put(key("a"), plan(1), built);
	const { entry, made } = await refit(c, "a");
	t.deepEqual(new Uint8Array(await readFile(made.path)), plan(9));
	const again = new EngineCache(c.dir);
	t.is((await again.refitted(entry, VOICE))?.sha256, made.sha256);
	t.is(await c.refitted(entry, "b".repeat(64)), undefined);
	t.is(await c.refitted({ ...entry, sha256: VOICE }, VOICE), undefined);
	t.deepEqual(new Uint8Array(await readFile(entry.path)), plan(1));
	// The engine is built anew: what was made of the old one is no use.
	await c.put(key("a"), plan(2), built);
	const other = await c.find(key("a"));
	t.is(other && (await c.refitted(other, VOICE)), undefined);
	t.is(await c.refitted(entry, VOICE), undefined);
});

test("a refitted copy whose bytes changed, or that is another's, is gone", async (t) => {
	const c = await cache(t);
	await c.put(key("a"), plan(1), built);
	const json = (path: string) => path.replace(/plan$/, "json");
	for (const damage of [
		(path: string) => writeFile(path, plan(2)),
		(path: string) => truncate(path, 50),
		(path: string) => rm(path),
		(path: string) => writeFile(json(path), "{"),
		async (path: string) => {
			const { made } = await refit(c, "a", "b".repeat(64));
			await writeFile(json(path), await readFile(json(made.path)));
		},
	]) {
		const { entry, made } = await refit(c, "a");
		await damage(made.path);
		t.is(await c.refitted(entry, VOICE), undefined);
	}
});

test("a refit that fails leaves nothing, and what a crash left goes with the next", async (t) => {
	const c = await cache(t);
	await c.put(key("a"), plan(1), built);
	const entry = await c.find(key("a"));
	if (!entry) return t.fail();
	const dir = dirname(entry.path);
	const failing = c.refit(entry, VOICE, async (path) => {
		await writeFile(path, plan(9));
		throw new Error("it crashed");
	});
	await t.throwsAsync(failing, { message: "it crashed" });
	const own = ["engine.json", "engine.plan"];
	t.deepEqual((await readdir(dir)).sort(), own);
	for (const left of [`${VOICE}.part`, `${VOICE}.plan`, `.${VOICE}.part.1.tmp`])
		await writeFile(join(dir, left), plan(3));
	const { made } = await refit(c, "a");
	t.deepEqual(
		(await readdir(dir)).sort(),
		[...own, `${made.name}.json`, `${made.name}.plan`].sort(),
	);
	await c.dropRefitted(entry, made);
	t.deepEqual((await readdir(dir)).sort(), own);
});

test("refitted copies count, and go before what was used after them; with their engine they all go", async (t) => {
	const c = await cache(t, { count: 4 });
	const voices = ["1", "2", "3"].map((v) => v.repeat(64));
	await c.put(key("a"), plan(1), built);
	const seconds = Date.now() / 1000;
	for (const [i, voice] of voices.entries()) {
		const { made } = await refit(c, "a", voice);
		const age = seconds - 1000 + i;
		await utimes(made.path.replace(/plan$/, "json"), age, age);
	}
	const { entry } = await refit(c, "a", VOICE);
	const left = async () =>
		(await c.listRefitted(entry)).map((r) => r.key.voice).sort();
	t.deepEqual(await left(), [...voices.slice(1), VOICE].sort());
	const small = new EngineCache(c.dir, { count: 1 });
	await small.put(key("b"), plan(2), built);
	t.deepEqual(
		(await c.list()).map((e) => e.key.onnx),
		["b"],
	);
	t.false((await readdir(c.dir)).includes(entry.id));
});
