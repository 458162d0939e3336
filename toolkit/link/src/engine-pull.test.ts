import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { type BlockSource, newKey, sha256, trustKeys } from "@wattvox/bundle";
import { sampleEngine, temporaryDir } from "@wattvox/bundle/testing";
import test, { type ExecutionContext } from "ava";
import { type EnginePullOptions, pullEngine } from "./engine-pull.ts";
import type { Channel } from "./fetch-types.ts";
import { BlockServer } from "./serve.ts";
import { type Lane, matches, PULL_LANE, UPLOAD_LANE } from "./topics.ts";

const builder = newKey();
const trust = trustKeys([builder.publicKey]);

/** A broker in one process: what is published comes to whoever listens, one turn later. */
function bus(): Channel & { names: string[] } {
	const handlers: [string, (name: string, payload: Buffer) => unknown][] = [];
	const names: string[] = [];
	const never = () => () => undefined;
	return {
		names,
		ready: true,
		onReady: never,
		onLost: never,
		async subscribe(filter, handler) {
			const entry: (typeof handlers)[number] = [
				filter,
				(name, payload) => handler(name, payload, false),
			];
			handlers.push(entry);
			return async () => {
				handlers.splice(handlers.indexOf(entry), 1);
			};
		},
		async publish(name, payload) {
			names.push(name);
			for (const [filter, handler] of handlers)
				if (matches(filter, name)) setImmediate(() => handler(name, payload));
		},
	};
}

/** Somebody who has an engine, and somebody who wants it. */
async function setUp(
	t: ExecutionContext,
	change: (block: Buffer, index: number) => Buffer | undefined = (b) => b,
	made = sampleEngine(builder),
	lane: Lane = PULL_LANE,
) {
	const dir = await temporaryDir(t);
	const link = bus();
	const read: number[] = [];
	const source: BlockSource = {
		readManifest: async () => undefined,
		readEngine: async (name) => (name === made.name ? made.head : undefined),
		async readBlock(digest, index) {
			if (digest !== made.file.sha256) return undefined;
			read.push(index);
			const block = made.plan.subarray(index << 16, (index + 1) << 16);
			return block.length > 0 ? change(Buffer.from(block), index) : undefined;
		},
	};
	const server = new BlockServer({
		...{ link, source, store: "s", lane },
		...{ fleet: "f", device: "d" },
	});
	await server.start();
	t.teardown(() => server.stop());
	const plan = join(dir, "plan");
	return {
		...{ made, link, read, plan, server },
		pull: (more: Partial<EnginePullOptions> = {}) =>
			pullEngine({
				...{ link, lane, trust, fleet: "f", device: "d", store: "s" },
				name: made.name,
				place: async () => ({ part: join(dir, "part"), plan }),
				...more,
			}),
	};
}

const absent = (t: ExecutionContext, path: string) =>
	t.throwsAsync(readFile(path), { code: "ENOENT" });

for (const lane of [PULL_LANE, UPLOAD_LANE])
	test(`an engine comes as it was signed, on ${lane.answer}`, async (t) => {
		const c = await setUp(t, undefined, undefined, lane);
		const told: number[] = [];
		const got = await c.pull({ onProgress: (done) => told.push(done) });
		t.deepEqual(await readFile(c.plan), c.made.plan);
		t.deepEqual(got.bytes, c.made.head);
		t.like(got, { keptBytes: 0, head: { signer: builder.id } });
		t.is(told.at(-1), c.made.plan.length);
		t.deepEqual([...new Set(c.link.names)].sort(), [
			...[`wattvox/v1/f/d/${lane.ask}`, `wattvox/v1/f/d/${lane.answer}`].sort(),
		]);
	});

test("a head of many parts", async (t) => {
	const made = sampleEngine(builder, { bytes: 65_536 * 1200 });
	t.true(made.head.length > 65_536);
	const c = await setUp(t, undefined, made);
	await c.pull();
	t.is(sha256(await readFile(c.plan)), made.file.sha256);
});

test("what came before an interruption does not come again", async (t) => {
	const made = sampleEngine(builder, { bytes: 65_536 * 100 });
	const c = await setUp(t, undefined, made);
	const stop = new AbortController();
	await t.throwsAsync(
		c.pull({
			signal: stop.signal,
			window: 8,
			onProgress(done) {
				if (done >= 65_536 * 40) stop.abort(new Error("cut"));
			},
		}),
		{ message: "cut" },
	);
	await absent(t, c.plan);
	const before = c.read.length;
	const { keptBytes } = await c.pull();
	t.true(keptBytes >= 65_536 * 40);
	t.is(c.read.length - before, 100 - keptBytes / 65_536);
	t.true(c.read.length <= 100 + 8, "at most one window twice");
	t.deepEqual(await readFile(c.plan), made.plan);
});

test("a block that is not what was signed is asked for again, and then ends it", async (t) => {
	let times = 0;
	const flip = (block: Buffer, index: number) => {
		if (index === 1 && times++ < 2) block[7] = (block[7] ?? 0) ^ 1;
		return block;
	};
	const once = await setUp(t, flip);
	await once.pull();
	t.deepEqual(await readFile(once.plan), once.made.plan);
	times = Number.NEGATIVE_INFINITY;
	const always = await setUp(t, flip);
	await t.throwsAsync(always.pull(), { code: "E_TAMPERED" });
	await absent(t, always.plan);
});

test("of an engine that nobody trusted signed, no byte is asked for", async (t) => {
	const c = await setUp(t, undefined, sampleEngine(newKey()));
	await t.throwsAsync(c.pull(), { code: "E_SIGNATURE" });
	const expired = { ...trust, expires: 0 };
	await t.throwsAsync(c.pull({ trust: expired }), { code: "E_EXPIRED" });
	t.deepEqual(c.read, []);
});

test("another engine under this name, and one that is not there", async (t) => {
	const other = sampleEngine(builder, { seed: "other" });
	const name = "a".repeat(64);
	const c = await setUp(t, undefined, { ...other, name });
	await t.throwsAsync(c.pull({ name }), { code: "E_TAMPERED" });
	await t.throwsAsync(c.pull({ name: "b".repeat(64) }), { code: "E_PULL" });
	t.deepEqual(c.read, []);
});

test("one that is here already, or for which there is no place, is left where it is", async (t) => {
	const c = await setUp(t);
	const { keptBytes } = await c.pull({ place: async () => null });
	t.is(keptBytes, c.made.plan.length);
	const place = () => Promise.reject(new Error("no room"));
	await t.throwsAsync(c.pull({ place }), { message: "no room" });
	t.deepEqual(c.read, []);
});
