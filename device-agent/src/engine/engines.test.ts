import { fork } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { newKey, trustKeys } from "@wattvox/bundle";
import { createLog, ManualClock, systemClock } from "@wattvox/core";
import type { EngineKey } from "@wattvox/runtime/tensorrt";
import test, { type ExecutionContext } from "ava";
import type { Reason } from "../planner.ts";
import { EngineCache } from "./engine-cache.ts";
import { Engines, type EnginesOptions } from "./engines.ts";
import { engineId } from "./entries.ts";

const builder = newKey();
const VOICE = "a".repeat(64);

/** Engines whose jobs run `body`; `job` is what they are told, `end(message)` answers. */
async function engines(
	t: ExecutionContext,
	body: string,
	more: Pick<EnginesOptions, "carrier" | "station"> & {
		clock?: EnginesOptions["clock"];
		settings?: Partial<EnginesOptions["settings"]>;
	} = {},
) {
	const dir = await mkdtemp(join(tmpdir(), "wattvox-engines-"));
	t.teardown(() => rm(dir, { recursive: true, force: true }));
	const main = join(dir, "job.mjs");
	await writeFile(
		main,
		`import { existsSync, writeFileSync } from "node:fs";
const job = JSON.parse(process.argv[2]);
const end = (message) => process.send(message, () => process.exit(0));
${body}`,
	);
	const lines: string[] = [];
	let said: () => void = () => undefined;
	const heard = new Promise<void>((resolve) => {
		said = resolve;
	});
	const all = new Engines({
		dataDir: dir,
		trust: trustKeys([builder.publicKey]),
		clock: systemClock,
		threads: 1,
		...more,
		settings: { precision: "fp16", shim: "/lib/shim.so", ...more.settings },
		log: createLog("test", {
			level: "info",
			to: {
				write(line: string) {
					lines.push(line);
					said();
				},
			},
		}),
		main: pathToFileURL(main),
	});
	const prepare = (signal = new AbortController().signal) =>
		all.prepare(
			{ voice: VOICE, dir: "/voice", golden: "/voice/golden.json" },
			signal,
		);
	return { dir, all, prepare, lines, heard };
}

test("a job's engine is ready for its voice alone", async (t) => {
	const { all, prepare, dir, lines } = await engines(
		t,
		`writeFileSync(new URL("./told.json", import.meta.url), JSON.stringify(job));
process.send({ kind: "note", line: "building" });
end({ kind: "ready", engine: { id: "e" }, figures: { errorDb: -60 } });`,
	);
	t.deepEqual(all.view(VOICE), { state: "wanted" });
	// Of those who signed engines that lie there, the job hears of those that may.
	const cache = new EngineCache(join(dir, "engines"));
	for (const { id } of [builder, newKey()])
		await cache.put({ onnx: id } as EngineKey, new Uint8Array(1), {
			kind: "signed",
			key: id,
		});
	await prepare();
	t.deepEqual(all.view(VOICE), { state: "ready", id: "e" });
	t.is(all.ready(VOICE)?.id, "e");
	t.deepEqual(all.view("b".repeat(64)), { state: "wanted" });
	t.deepEqual(JSON.parse(await readFile(join(dir, "told.json"), "utf8")), {
		dir: "/voice",
		voice: VOICE,
		golden: "/voice/golden.json",
		cache: join(dir, "engines"),
		wish: { precision: "fp16" },
		builders: [builder.id],
		ask: false,
		from: "anywhere",
		threads: 1,
		shim: "/lib/shim.so",
	});
	t.regex(lines.join(""), /building/);
	all.blame(VOICE, { code: "E_ENGINE_CRASH", message: "it ended" });
	t.is(all.ready(VOICE), undefined);
	t.like(all.view(VOICE), { state: "failed", reason: { message: "it ended" } });
});

for (const [what, body, code] of [
	[
		"says why it failed",
		'end({ kind: "failed", code: "E_ENGINE_DIFFERS", message: "off" })',
		"E_ENGINE_DIFFERS",
	],
	[
		"ends without a word",
		'process.kill(process.pid, "SIGKILL")',
		"E_ENGINE_CRASH",
	],
] as const)
	test(`a job that ${what} leaves the voice on ONNX Runtime, and the log says so`, async (t) => {
		const { all, prepare, lines } = await engines(t, body);
		await prepare();
		t.like(all.view(VOICE), { state: "failed", reason: { code } });
		t.is(all.ready(VOICE), undefined);
		t.regex(lines.join(""), /speaks on ONNX Runtime/);
	});

test("a job that is broken off is still to be done, and its process is gone", async (t) => {
	const stop = new AbortController();
	const { all, prepare, dir, heard } = await engines(
		t,
		`process.on("SIGTERM", () => {
	writeFileSync(new URL("./ended", import.meta.url), "asked");
	process.exit(0);
});
process.send({ kind: "note", line: "building" });
setInterval(() => undefined, 1000);`,
	);
	const preparing = prepare(stop.signal);
	await heard;
	stop.abort(new Error("an update"));
	await t.throwsAsync(preparing, { message: "an update" });
	t.deepEqual(all.view(VOICE), { state: "wanted" });
	t.is(await readFile(join(dir, "ended"), "utf8"), "asked");
});

test("a job that wants an engine from elsewhere is told who signed it; the one it made is offered on", async (t) => {
	const wanted: unknown[] = [];
	const offered: string[] = [];
	const { all, prepare } = await engines(
		t,
		`process.on("message", ({ kind, signer }) =>
	end({ kind: "ready", engine: { id: kind + signer }, figures: {} }));
process.send({ kind: "wanted", key: { onnx: job.ask } });`,
		{
			carrier: {
				async bring(key) {
					wanted.push(key);
					return "me";
				},
				offer: (id) => void offered.push(id),
			},
		},
	);
	await prepare();
	t.is(all.ready(VOICE)?.id, "broughtme");
	t.deepEqual(wanted, [{ onnx: true }]);
	t.deepEqual(offered, ["broughtme"]);
});

test("a device that builds none waits, asks the store itself, and starts a job when something came", async (t) => {
	const asked: string[] = [];
	let there = false;
	const clock = new ManualClock();
	const { all, prepare, dir } = await engines(
		t,
		`writeFileSync(new URL("./job-" + Date.now() + Math.random(), import.meta.url), job.from);
if (!existsSync(new URL("./came", import.meta.url)))
	end({ kind: "absent", keys: [{ onnx: "a" }, { onnx: "b" }], message: "none yet" });
else end({ kind: "ready", engine: { id: "e" }, figures: {} });`,
		{
			clock,
			station: () => "the station",
			settings: { pullOnly: true },
			carrier: {
				async bring(key) {
					asked.push(key.onnx);
					if (there) await writeFile(join(dir, "came"), "");
					return there ? builder.id : null;
				},
				offer: () => undefined,
			},
		},
	);
	const jobs = async () => {
		const names = (await readdir(dir)).filter((n) => n.startsWith("job-"));
		return Promise.all(names.map((n) => readFile(join(dir, n), "utf8")));
	};
	const at = () => {
		const view = all.view(VOICE);
		return view.state === "waiting" ? view.at : null;
	};
	await prepare();
	const [a, b] = ["a", "b"].map((onnx) =>
		engineId({ onnx } as EngineKey).slice(0, 12),
	);
	t.like(all.view(VOICE), {
		state: "waiting",
		reason: {
			code: "E_ENGINE_NONE",
			message: `waits for engine ${a} or ${b} of the station; none yet`,
		},
	});
	t.true((at() ?? 0) > clock.monotonic());
	await prepare();
	t.deepEqual(asked, ["a", "b"]);
	t.is((await jobs()).length, 1, "nothing came: no job was worth starting");
	// One that was imported by hand counts as come while its signer is trusted.
	const cache = new EngineCache(join(dir, "engines"));
	const stranger = { kind: "signed", key: newKey().id } as const;
	await cache.put({ onnx: "b" } as EngineKey, new Uint8Array(1), stranger);
	await prepare();
	t.is((await jobs()).length, 1);
	await cache.put({ onnx: "b" } as EngineKey, new Uint8Array(1), {
		kind: "signed",
		key: builder.id,
	});
	await prepare();
	t.is((await jobs()).length, 2);
	t.is(all.view(VOICE).state, "waiting", "the job found it wanting");
	await cache.remove(engineId({ onnx: "b" } as EngineKey));
	const before = asked.length;
	all.hurry();
	t.is(at(), 0);
	there = true;
	await prepare();
	t.deepEqual(all.view(VOICE), { state: "ready", id: "e" });
	t.is(asked.length - before, 1);
	t.deepEqual(await jobs(), ["store", "store", "store"]);
});

test("a device that waits for the station a while builds its own when that has passed, and not before", async (t) => {
	const clock = new ManualClock();
	const asked: string[] = [];
	const { all, prepare, dir } = await engines(
		t,
		`writeFileSync(new URL("./job-" + job.from, import.meta.url), "");
if (job.from === "store") end({ kind: "absent", keys: [{ onnx: "a" }], message: "none yet" });
else end({ kind: "ready", engine: { id: "own" }, figures: {} });`,
		{
			clock,
			settings: { patienceMs: 600_000 },
			carrier: {
				async bring(key) {
					asked.push(key.onnx);
					return null;
				},
				offer: () => undefined,
			},
		},
	);
	const at = () => {
		const view = all.view(VOICE);
		return view.state === "waiting" ? view.at : Number.NaN;
	};
	await prepare();
	t.like(all.view(VOICE), { state: "waiting" });
	t.regex(
		(all.view(VOICE) as { reason: Reason }).reason.message,
		/^waits for 10 min at most for engine [0-9a-f]{12} of a build station; none yet/,
	);
	let looks = 0;
	while (clock.monotonic() < 600_000) {
		t.true(at() <= 600_000, "it is looked for no later than that");
		t.false(existsSync(join(dir, "job-anywhere")));
		await clock.advance(at() - clock.monotonic());
		await prepare();
		looks++;
	}
	t.deepEqual(all.view(VOICE), { state: "ready", id: "own" });
	t.is(asked.length, looks - 1);
	t.true(looks > 1);
});

test("what came and did not hold for a voice is no news; other bytes are, also to voices that speak by the old ones", async (t) => {
	const OTHER = "b".repeat(64);
	const refutes: (readonly string[])[] = [];
	let there: string | null = null;
	const { all, prepare, dir } = await engines(
		t,
		`if (job.voice[0] === "b" || existsSync(new URL("./good", import.meta.url)))
	end({ kind: "ready", engine: { id: ${JSON.stringify(engineId({ onnx: "a" } as EngineKey))} }, figures: {} });
else end({ kind: "absent", keys: [{ onnx: "a" }], message: "none yet" });`,
		{
			settings: { pullOnly: true },
			carrier: {
				async bring(_, __, refuted = []) {
					refutes.push(refuted);
					return there;
				},
				offer: () => undefined,
			},
		},
	);
	const cache = new EngineCache(join(dir, "engines"));
	const key = { onnx: "a" } as EngineKey;
	const origin = { kind: "signed", key: builder.id } as const;
	const bad = await cache.put(key, new Uint8Array(1), origin);
	const { signal } = new AbortController();
	await all.look({ voice: OTHER, dir, golden: null }, signal);
	t.is(all.view(OTHER).state, "ready");
	await prepare();
	const plan = bad.sha256;
	const why = { code: "E_ENGINE_DIFFERS", message: "off" } as const;
	await cache.failures.add({ engine: bad.id, voice: VOICE, plan, ...why });
	await writeFile(join(dir, "good"), "");
	// the bytes in the cache are those that did not hold, and the store has no others
	await prepare();
	t.is(all.view(VOICE).state, "waiting");
	t.deepEqual(refutes, [[plan]]);
	t.is(all.view(OTHER).state, "ready");
	there = builder.id;
	await prepare();
	t.is(all.view(VOICE).state, "ready");
	t.true(all.unseen(OTHER), "its engine is another now");
});

test("a voice beside the active one: the cache is looked into, nobody is asked, and nothing is held against it", async (t) => {
	const { all, dir, prepare } = await engines(
		t,
		`if (job.ask || job.from !== "cache") end({ kind: "ready", engine: { id: "e" }, figures: {} });
else if (job.voice[0] === "c") end({ kind: "ready", engine: { id: "f" }, figures: {} });
else end({ kind: "failed", code: "E_ENGINE_DIFFERS", message: "off" });`,
		{
			carrier: {
				bring: () => Promise.reject(new Error("the store was asked")),
				offer: () => undefined,
			},
		},
	);
	const [bad, good] = ["b".repeat(64), "c".repeat(64)];
	const { signal } = new AbortController();
	const look = (voice: string) =>
		all.look({ voice, dir, golden: null }, signal);
	t.true(all.unseen(bad));
	await look(bad);
	t.false(all.unseen(bad));
	t.deepEqual(all.view(bad), { state: "wanted" });
	await look(good);
	t.deepEqual([all.unseen(good), all.ready(good)?.id], [false, "f"]);
	// Once the active voice has one, it may do for others too.
	await prepare();
	t.deepEqual([all.unseen(bad), all.unseen(good)], [true, false]);
});

/** Turns nothing until it is so: what the kernel has to tell meanwhile comes at once then. */
function hold(met: () => boolean): void {
	const cell = new Int32Array(new SharedArrayBuffer(4));
	while (!met()) Atomics.wait(cell, 0, 0, 5);
}

/** A process that has ended, and that nobody has looked after yet. */
const isOver = (pid: number) => {
	const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
	return stat.slice(stat.lastIndexOf(")") + 2)[0] === "Z";
};

test("a job's last word counts, also where its end is heard before it", async (t) => {
	const { prepare, dir, all } = await engines(
		t,
		`writeFileSync(new URL("./job.pid", import.meta.url), String(process.pid));
const timer = setInterval(() => {
	if (!existsSync(new URL("./go", import.meta.url))) return;
	clearInterval(timer);
	end({ kind: "ready", engine: { id: "e" }, figures: {} });
}, 1);`,
	);
	const body =
		"process.send('up'); process.once('message', () => process.send('now', () => process.exit()))";
	await writeFile(join(dir, "other.mjs"), body);
	const others = [0, 1].map(() => fork(join(dir, "other.mjs")));
	await Promise.all(others.map((child) => once(child, "message")));
	const [speaks] = others;
	const preparing = prepare();
	const file = join(dir, "job.pid");
	while (!existsSync(file) || readFileSync(file, "utf8") === "")
		await new Promise((resolve) => setTimeout(resolve, 1));
	const job = Number(readFileSync(file, "utf8"));
	// One child speaks and another ends. While that is taken in, in this order, the job speaks and ends too:
	// whoever looks after the child that ended then finds the job over, and has not read its word.
	const heard = new Promise<void>((resolve) =>
		speaks?.once("message", () => {
			writeFileSync(join(dir, "go"), "");
			hold(() => isOver(job));
			resolve();
		}),
	);
	for (const child of others) child.send("on");
	hold(() => others.every((child) => isOver(child.pid ?? 0)));
	await heard;
	await preparing;
	t.deepEqual(all.view(VOICE), { state: "ready", id: "e" });
});
