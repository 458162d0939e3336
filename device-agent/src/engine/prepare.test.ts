import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ErrorCode } from "@wattvox/core";
import type { EngineKey, Workshop } from "@wattvox/runtime/tensorrt";
import { spellingFrontend as frontend } from "@wattvox/synth/testing";
import test, { type ExecutionContext } from "ava";
import { layOut } from "./_bench.test.ts";
import { FakeWorkshop, type Lies } from "./_fake-workshop.test.ts";
import { EngineAbsent } from "./absent.ts";
import { EngineCache } from "./engine-cache.ts";
import { type PrepareOptions, prepareEngine } from "./prepare.ts";

/** Voices laid out in folders, a cache, and a made-up TensorRT. */
async function bench(t: ExecutionContext, lies: Lies = {}) {
	const dir = await mkdtemp(join(tmpdir(), "wattvox-prepare-"));
	t.teardown(() => rm(dir, { recursive: true, force: true }));
	const cache = new EngineCache(join(dir, "engines"));
	const workshop = new FakeWorkshop(lies);
	const notes: string[] = [];
	const folders = new Map<string, string>();
	return {
		cache,
		workshop,
		notes,
		async prepare(adapterSeed?: number, more: Partial<PrepareOptions> = {}) {
			const name = `v${adapterSeed ?? 0}`;
			const folder =
				folders.get(name) ?? (await layOut(dir, name, adapterSeed));
			folders.set(name, folder);
			return prepareEngine({
				dir: folder,
				voice: name.padEnd(64, "0").replace("v", "a"),
				golden: join(folder, "golden.json"),
				cache,
				workshop,
				precision: "fp32",
				frontend,
				note: (line) => notes.push(line),
				...more,
			});
		},
	};
}

test("an engine is built once for a base; other voices refit it", async (t) => {
	const { prepare, workshop, cache } = await bench(t);
	const first = await prepare(5);
	t.true(first.fresh);
	t.true(first.gap.errorDb < -80);
	t.true(first.runs > 1);
	t.true((first.realTimeFactor ?? 0) > 0);
	t.true(first.refitted);
	t.not(first.plan.sha256, first.entry.sha256);
	t.like(workshop.builds[0], { refit: true, precision: "fp32" });
	const second = await prepare(6);
	t.false(second.fresh);
	t.is(second.entry.id, first.entry.id);
	t.not(second.plan.path, first.plan.path);
	// Each voice's copy is made once, and tried each time.
	const { refits, trials } = workshop;
	t.is((await prepare(5)).plan.sha256, first.plan.sha256);
	t.deepEqual([workshop.refits - refits, workshop.trials - trials], [0, 1]);
	const plain = await prepare();
	t.is(plain.entry.id, first.entry.id);
	t.false(plain.refitted);
	t.is(plain.plan.sha256, plain.entry.sha256);
	t.is(workshop.builds.length, 1);
	t.is((await cache.list()).length, 1);
	// Another precision is another engine, and gets the timing cache.
	await prepare(5, { precision: "fp16" });
	t.is(workshop.builds.length, 2);
	t.truthy(workshop.builds[1]?.timingCache);
});

test("every child process is given the room that was asked for; with more of it what lacked memory is tried again", async (t) => {
	const { prepare, workshop, cache } = await bench(t);
	const given: (number | undefined)[] = [];
	const noting: Workshop = {
		facts: (limits) => {
			given.push(limits?.memoryBytes);
			return workshop.facts();
		},
		buildEngine: (onnx, request) => {
			given.push(request?.memoryBytes);
			return workshop.buildEngine(onnx, request);
		},
		refit: (request) => {
			given.push(request.memoryBytes);
			return workshop.refit(request);
		},
		trial: (engine, request) => {
			given.push(request?.memoryBytes);
			return workshop.trial(engine, request);
		},
	};
	const GiB = 2 ** 30;
	const within = (memoryBytes?: number) =>
		prepare(5, {
			workshop: noting,
			...(memoryBytes !== undefined && { memoryBytes }),
		});
	workshop.lies = { build: () => "E_MEMORY" };
	await t.throwsAsync(within(3 * GiB), { message: "made up" });
	await t.throwsAsync(within(3 * GiB), { message: "as before: made up" });
	await t.throwsAsync(within(), { message: "as before: made up" });
	workshop.lies = {};
	given.length = 0;
	await within(4 * GiB);
	t.deepEqual(given, new Array(4).fill(4 * GiB));
	t.deepEqual(await cache.failures.list(), []);
});

const bias = (s: number, refit: boolean) => (refit ? s + 0.01 : s);
for (const [what, lies] of [
	["computes something else after a refit", { wave: bias }],
	["does not allow the adapter's weights", { fixed: ["vocoder.out.w"] }],
	["cannot be refitted", { refit: () => "E_ENGINE_REFIT" }],
	["crashes while it is refitted", { refit: () => "E_ENGINE_CRASH" }],
	["is not built", { build: (r) => (r ? "E_ENGINE_BUILD" : undefined) }],
	["crashes", { trial: (r) => (r ? "E_ENGINE_CRASH" : undefined) }],
] as [string, Lies][])
	test(`where a refittable engine ${what}, the voice gets one of its own`, async (t) => {
		const { prepare, workshop, notes } = await bench(t, lies);
		const made = await prepare(5);
		t.false(made.refitted);
		t.deepEqual(
			workshop.builds.map((b) => b.refit),
			[true, false],
		);
		t.regex(notes.join("\n"), /refitted: E_ENGINE/);
		// What failed is remembered: the next time the way is known.
		const builds = workshop.builds.length;
		t.is((await prepare(5)).entry.id, made.entry.id);
		t.is(workshop.builds.length, builds);
	});

for (const [what, lies, code] of [
	["NaN", { wave: () => Number.NaN }, "E_ENGINE_DIFFERS"],
	["wrong values", { wave: (s) => s * 1.05 }, "E_ENGINE_DIFFERS"],
	["silence", { wave: () => 0 }, "E_ENGINE_DIFFERS"],
	["a crash", { trial: () => "E_ENGINE_CRASH" }, "E_ENGINE_CRASH"],
	["no memory", { build: () => "E_MEMORY" }, "E_MEMORY"],
	["a build that never ends", { build: () => "E_TIMEOUT" }, "E_TIMEOUT"],
	["a refit that never ends", { refit: () => "E_TIMEOUT" }, "E_TIMEOUT"],
	["a refit without memory", { refit: () => "E_MEMORY" }, "E_MEMORY"],
	["an operator", { build: () => "E_OP_UNSUPPORTED" }, "E_OP_UNSUPPORTED"],
] as [string, Lies, ErrorCode][])
	test(`no engine comes out of ${what}, and it is tried again only when asked for`, async (t) => {
		const { prepare, workshop } = await bench(t, lies);
		await t.throwsAsync(prepare(5), { code });
		const { length } = workshop.builds;
		const { trials } = workshop;
		await t.throwsAsync(prepare(5), { code, message: /as before/ });
		t.is(workshop.builds.length, length);
		t.is(workshop.trials, trials);
		workshop.lies = {};
		t.true((await prepare(5, { again: true })).gap.errorDb < -80);
		t.truthy(await prepare(5));
	});

test("an engine of another TensorRT is not found; one that is not readable is built anew", async (t) => {
	const { prepare, workshop, cache } = await bench(t);
	const first = await prepare(5);
	workshop.lies = { tensorrt: "10.4.0.1" };
	const second = await prepare(5);
	t.true(second.fresh);
	t.not(second.entry.id, first.entry.id);

	// Neither its copy nor the engine itself can be opened any more, until it is built anew.
	const refuse = ["trial", "refit"];
	const once = (what: string) => {
		const at = refuse.indexOf(what);
		if (at >= 0) refuse.splice(at, 1);
		return at >= 0 ? "E_ENGINE_LOAD" : undefined;
	};
	workshop.lies = {
		tensorrt: "10.4.0.1",
		trial: () => once("trial"),
		refit: () => once("refit"),
	};
	const third = await prepare(5);
	t.true(third.fresh);
	t.is(third.entry.id, second.entry.id);
	t.deepEqual(await cache.failures.list(), []);
});

test("a copy that does not hold any more is refitted once more", async (t) => {
	const { prepare, workshop, notes } = await bench(t);
	const first = await prepare(5);
	for (const code of ["E_ENGINE_LOAD", "E_ENGINE_CRASH"] as const) {
		let refuse = true;
		workshop.lies = {
			trial: () => {
				const now = refuse;
				refuse = false;
				return now ? code : undefined;
			},
		};
		const { refits } = workshop;
		const again = await prepare(5);
		t.deepEqual([again.refitted, workshop.refits - refits], [true, 1]);
		t.is(again.entry.sha256, first.entry.sha256, "the engine itself stays");
		t.true(notes.some((n) => n.includes(`any more (${code}); refitting`)));
	}
	t.is(workshop.builds.length, 1);
});

test("an engine from elsewhere is used only while its signer may build", async (t) => {
	const { prepare, cache, workshop } = await bench(t);
	const { entry } = await prepare(5);
	const plan = await readFile(entry.path);
	const key = "c".repeat(64);
	await cache.put(entry.key, plan, { kind: "signed", key });
	const used = await prepare(5, { builders: [key] });
	t.false(used.fresh);
	t.deepEqual(used.entry.origin, { kind: "signed", key });
	const own = await prepare(5, { builders: ["d".repeat(64)] });
	t.true(own.fresh);
	t.is(own.entry.origin.kind, "built");
	t.is(workshop.builds.length, 2);
});

test("an interruption is no failure of the engine", async (t) => {
	const stop = new AbortController();
	const { prepare, cache } = await bench(t, {
		build: () => {
			stop.abort();
			return "E_INTERRUPTED";
		},
	});
	await t.throwsAsync(prepare(5, { signal: stop.signal }), {
		code: "E_INTERRUPTED",
	});
	t.deepEqual(await cache.failures.list(), []);
});

/** The key of a build station. */
const station = "5".repeat(64);

test("what a station made is asked for before anything is built, and spoken by", async (t) => {
	const theirs = await bench(t);
	const made = await theirs.prepare(5);
	const { prepare, workshop, cache } = await bench(t);
	const asked: boolean[] = [];
	const here = await prepare(5, {
		async bring(key) {
			asked.push(key.refit);
			const plan = await readFile(made.entry.path);
			await cache.put(key, plan, { kind: "signed", key: station });
			return station;
		},
	});
	t.like(here, { fresh: false, entry: { id: made.entry.id } });
	t.deepEqual([asked, workshop.builds.length], [[true], 0]);
	// Once it is in the cache nobody is asked, and it counts while its signer is trusted.
	const bring = () => Promise.reject(new Error("asked again"));
	t.false((await prepare(6, { bring, builders: [station] })).fresh);
});

test("where no station made one, both kinds are asked for and then the usual is built", async (t) => {
	const { prepare, workshop } = await bench(t);
	const asked: boolean[] = [];
	const made = await prepare(5, {
		async bring(key) {
			asked.push(key.refit);
			return null;
		},
	});
	t.deepEqual(asked, [true, false]);
	t.true(made.fresh);
	t.is(workshop.builds.length, 1);
});

test("what came and does not hold gives way to an engine of our own", async (t) => {
	const { prepare, workshop, cache, notes } = await bench(t);
	const made = await prepare(5, {
		async bring(key) {
			await cache.put(key, Buffer.from('{"tensorrt":"0"}'), {
				kind: "signed",
				key: station,
			});
			return station;
		},
	});
	t.is(made.entry.origin.kind, "built");
	t.is(workshop.builds.length, 1);
	t.true(notes.some((n) => n.includes("does not hold here (E_ENGINE_LOAD)")));
	t.deepEqual(await cache.failures.list(), []);
});

test("a device that builds none says which engines would do, and takes what came", async (t) => {
	const theirs = await bench(t);
	const { prepare, workshop, cache } = await bench(t);
	const asked: EngineKey[] = [];
	const none: Partial<PrepareOptions> = {
		from: "store",
		async bring(key) {
			asked.push(key);
			return null;
		},
	};
	const absent = await t.throwsAsync<EngineAbsent>(prepare(5, none), {
		instanceOf: EngineAbsent,
		code: "E_ENGINE_NONE",
	});
	t.deepEqual(absent?.keys, asked);
	t.deepEqual(
		asked.map((k) => k.refit),
		[true, false],
	);
	t.deepEqual(await cache.failures.list(), [], "nothing failed");
	const made = await theirs.prepare(5);
	const bring = async (key: EngineKey) => {
		const plan = await readFile(made.entry.path);
		await cache.put(key, plan, { kind: "signed", key: station });
		return station;
	};
	t.true((await prepare(5, { from: "store", bring })).refitted);
	t.is(workshop.builds.length, 0);
	// From the cache alone nobody is asked, and what is there is refitted.
	const cached = { from: "cache", builders: [station] } as const;
	const shut = () => Promise.reject(new Error("it was asked for"));
	t.true((await prepare(6, { ...cached, bring: shut })).refitted);
	await t.throwsAsync(prepare(6, { ...cached, builders: [] }), {
		instanceOf: EngineAbsent,
	});
	t.is(workshop.builds.length, 0);
});

test("what came and does not hold is neither built in its place nor tried again on a device that builds none; other bytes are", async (t) => {
	const theirs = await bench(t);
	const made = await theirs.prepare(5);
	const lies: Lies = { wave: (s) => s + 0.01 };
	const { prepare, workshop, cache, notes } = await bench(t, lies);
	let plan = await readFile(made.entry.path);
	const bring = async (key: EngineKey) => {
		if (!key.refit) return null;
		await cache.put(key, plan, { kind: "signed", key: station });
		return station;
	};
	const waits = async (message: RegExp) => {
		const absent = await t.throwsAsync<EngineAbsent>(
			prepare(5, { from: "store", bring }),
			{ instanceOf: EngineAbsent, message },
		);
		t.deepEqual(
			absent?.keys.map((k) => k.refit),
			[true, false],
			"either may still come",
		);
	};
	await waits(/\(E_ENGINE_DIFFERS: the engine is/);
	t.true(notes.some((n) => n.includes("does not hold here")));
	const { trials } = workshop;
	await waits(/\(E_ENGINE_DIFFERS: as before/);
	t.is(workshop.trials, trials, "the same bytes are not tried again");
	const again = { from: "store", bring, again: true } as const;
	await t.throwsAsync(prepare(5, again), { instanceOf: EngineAbsent });
	t.true(workshop.trials > trials, "unless that is asked for");

	plan = Buffer.concat([plan, Buffer.from(" ")]);
	await waits(/\(E_ENGINE_DIFFERS: the engine is/);
	t.is((await cache.failures.list()).length, 2);
	// these hold, and those before are remembered
	plan = Buffer.concat([plan, Buffer.from(" ")]);
	delete lies.wave;
	t.true((await prepare(5, { from: "store", bring })).refitted);
	t.is((await cache.failures.list()).length, 2);
	t.is(workshop.builds.length, 0);
	// a device that may build does not wait for others
	plan = await readFile(made.entry.path);
	await cache.remove(made.entry.id);
	t.is((await prepare(5, { bring })).entry.origin.kind, "built");
});
