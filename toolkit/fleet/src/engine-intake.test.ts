import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { EngineShelf, newKey, trustKeys } from "@wattvox/bundle";
import { sampleEngine, temporaryDir } from "@wattvox/bundle/testing";
import {
	type Link,
	offerEngine,
	pullEngine,
	type Verdict,
} from "@wattvox/link";
import test, { type ExecutionContext } from "ava";
import { Broker } from "./broker.ts";
import { EngineIntake, type EngineIntakeOptions } from "./engine-intake.ts";
import { StoreServer } from "./store-server.ts";
import { connect, makeSample } from "./testing.ts";

const builder = newKey();
const trust = trustKeys([builder.publicKey]);
type Made = ReturnType<typeof sampleEngine>;

/** Signals a test's own steps to each other. */
function gate() {
	let open = () => {};
	const passed = new Promise<void>((resolve) => {
		open = resolve;
	});
	return { open, passed };
}

/** A broker, and a shelf that takes what stations bring. */
async function setUp(
	t: ExecutionContext,
	options: Partial<EngineIntakeOptions> = {},
) {
	t.timeout(180_000);
	const dir = await temporaryDir(t);
	const broker = await Broker.start({ port: 0 });
	t.teardown(() => broker.stop());
	const shelf = new EngineShelf(join(dir, "engines"));
	const link = await connect(broker.url, "store");
	t.teardown(() => link.stop());
	const intakeOf = async (more: Partial<EngineIntakeOptions> = {}) => {
		const intake = new EngineIntake({
			...{ link, store: "store", fleet: "home", shelf, stallMs: 1000 },
			trust: async () => trust,
			...options,
			...more,
		});
		await intake.start();
		t.teardown(() => intake.stop());
		return intake;
	};
	const intake = await intakeOf();
	/** Blocks that stations sent. */
	const sent: number[] = [];
	const offer = (
		station: Link,
		made: Made,
		more: {
			device?: string;
			signal?: AbortSignal;
			block?: (block: Buffer, index: number) => Promise<Buffer> | Buffer;
			againMs?: { base: number; max: number };
		} = {},
	): Promise<Verdict> => {
		const { device = "bench", block = (b: Buffer) => b, ...rest } = more;
		return offerEngine({
			...{ link: station, fleet: "home", device, store: "store" },
			name: made.name,
			source: {
				readEngine: async (name) =>
					name === made.name ? made.head : undefined,
				async readBlock(sha256, index) {
					if (sha256 !== made.file.sha256) return undefined;
					sent.push(index);
					const at = Buffer.from(made.plan.subarray(index << 16));
					return block(at.subarray(0, 65_536), index);
				},
			},
			...rest,
		});
	};
	const station = async (id = "bench") => {
		const own = await connect(broker.url, id);
		t.teardown(() => own.stop());
		return own;
	};
	return { dir, broker, shelf, link, intake, intakeOf, sent, offer, station };
}

const none = (dir: string) => readdir(dir).catch(() => [] as string[]);

test("what a station offers lies on the shelf, whole, and a sibling pulls it from the store", async (t) => {
	t.timeout(180_000);
	const dir = await temporaryDir(t);
	const broker = await Broker.start({ port: 0 });
	t.teardown(() => broker.stop());
	const { source } = await makeSample(dir);
	const server = new StoreServer({
		...{ source, broker: { url: broker.url } },
		engines: { shelf: source.engines, trust: async () => trust },
	});
	await server.start();
	t.teardown(() => server.stop());
	const made = sampleEngine(builder, { bytes: 300_000 });
	const bench = await connect(broker.url, "bench");
	t.teardown(() => bench.stop());
	const said = await offerEngine({
		...{ link: bench, fleet: "home", device: "bench", store: "store" },
		name: made.name,
		source: {
			readEngine: async () => made.head,
			readBlock: async (_, i) => made.plan.subarray(i << 16, (i + 1) << 16),
		},
	});
	t.deepEqual(said, {
		...{ v: 1, store: "store", engine: made.name, held: true },
	});
	const link = await connect(broker.url, "sibling");
	t.teardown(() => link.stop());
	const plan = join(dir, "plan");
	await pullEngine({
		...{ link, fleet: "home", device: "sibling", store: "store", trust },
		name: made.name,
		place: async () => ({ part: join(dir, "part"), plan }),
	});
	t.deepEqual(await readFile(plan), made.plan);
});

test("of an engine that no trusted builder signed not one block is asked for, and nothing is written", async (t) => {
	const s = await setUp(t);
	const link = await s.station();
	const said = await s.offer(link, sampleEngine(newKey()));
	t.like(said, { held: false, reason: { code: "E_SIGNATURE" } });
	const expired = { ...trust, expires: 0 };
	await s.intake.stop();
	await s.intakeOf({ trust: async () => expired });
	const stop = new AbortController();
	const waits = s.offer(link, sampleEngine(builder), { signal: stop.signal });
	const other = await connect(s.broker.url, "listens");
	t.teardown(() => other.stop());
	const heard = gate();
	await other.subscribe("wattvox/v1/home/bench/verdict", (_, payload) => {
		if (payload.includes("E_EXPIRED")) heard.open();
	});
	await s
		.offer(link, sampleEngine(newKey(), { seed: "x" }), {
			signal: AbortSignal.timeout(1),
		})
		.catch(() => undefined);
	await heard.passed;
	stop.abort(new Error("enough"));
	await t.throwsAsync(waits, { message: "enough" });
	t.deepEqual(s.sent, []);
	t.deepEqual(await none(s.shelf.dir), []);
});

test("a block that never is what was signed ends it, and siblings get nothing of it", async (t) => {
	const s = await setUp(t);
	const said = await s.offer(await s.station(), sampleEngine(builder), {
		block(block, index) {
			if (index === 2) block[0] = (block[0] ?? 0) ^ 255;
			return block;
		},
	});
	t.like(said, { held: false, reason: { code: "E_TAMPERED" } });
	t.deepEqual(await s.shelf.names(), []);
	t.deepEqual(await none(join(s.shelf.dir, "plans")), []);
});

test("a station that went in the middle goes on where it was, and sends at most a window twice", async (t) => {
	// long enough that a busy machine is not taken for a station that went
	const s = await setUp(t, { window: 4, stallMs: 5000 });
	const made = sampleEngine(builder, { bytes: 65_536 * 20 });
	const half = gate();
	const first = await connect(s.broker.url, "bench");
	const stop = new AbortController();
	const broken = s.offer(first, made, {
		signal: stop.signal,
		async block(block) {
			if (s.sent.length === 8) half.open();
			return block;
		},
	});
	await half.passed;
	stop.abort(new Error("cut"));
	await t.throwsAsync(broken, { message: "cut" });
	await first.stop();
	// the store still asks; what it asked for is there when the station is
	const said = await s.offer(await s.station(), made);
	t.true(said.held);
	t.true(s.sent.length <= 24, `${s.sent.length} blocks`);
	t.deepEqual(await readFile(s.shelf.planPath(made.file.sha256)), made.plan);
});

test("a store that was started anew goes on where it was; the station offers again by itself", async (t) => {
	// nothing gets lost here, so that silence is only a busy machine: it is not to ask again for that
	const s = await setUp(t, { window: 4, stallMs: 60_000 });
	const made = sampleEngine(builder, { bytes: 65_536 * 20 });
	const half = gate();
	const said = s.offer(await s.station(), made, {
		againMs: { base: 300, max: 1000 },
		async block(block) {
			if (s.sent.length === 8) half.open();
			return block;
		},
	});
	await half.passed;
	await s.intake.stop();
	t.deepEqual(await s.shelf.names(), []);
	const again = await s.intakeOf();
	t.true((await said).held);
	t.true(s.sent.length <= 24, `${s.sent.length} blocks`);
	t.true(again.counters.bytes < made.plan.length, "some had come before");
	t.deepEqual(await readFile(s.shelf.planPath(made.file.sha256)), made.plan);
});

test("an engine that is there already costs its head alone; a head signed anew takes the place of the old", async (t) => {
	const next = newKey();
	const s = await setUp(t, {
		trust: async () => trustKeys([builder.publicKey, next.publicKey]),
	});
	const link = await s.station();
	const made = sampleEngine(builder);
	t.true((await s.offer(link, made)).held);
	const blocks = s.sent.length;
	const again = sampleEngine(next);
	t.is(again.name, made.name);
	t.true((await s.offer(link, again)).held);
	t.is(s.sent.length, blocks);
	t.deepEqual(await s.shelf.readHead(made.name), again.head);
});

test("stations have their turns: one that takes too long loses its turn and not what it sent", async (t) => {
	const s = await setUp(t, { turnMs: 2000, waiting: 1 });
	const slow = sampleEngine(builder, { bytes: 65_536 * 4, seed: "slow" });
	const quick = sampleEngine(builder, { seed: "quick" });
	const begun = gate();
	let stuck = true;
	const first = s.offer(await s.station("a"), slow, {
		device: "a",
		againMs: { base: 300, max: 1000 },
		async block(block, index) {
			begun.open();
			// one that never comes, while it is stuck
			if (index === 3 && stuck) throw new Error("not now");
			return block;
		},
	});
	await begun.passed;
	const second = await s.offer(await s.station("b"), quick, { device: "b" });
	t.true(second.held);
	stuck = false;
	t.true((await first).held);
	t.deepEqual(await s.shelf.names(), [slow.name, quick.name].sort());
});

test("what is no offer, and an offer to another store, has no answer", async (t) => {
	const s = await setUp(t);
	const link = await s.station();
	const to = "wattvox/v1/home/bench/offer";
	const name = "a".repeat(64);
	for (const text of ["{}", "no", `{"v":1,"store":"other","engine":"${name}"}`])
		await link.publish(to, Buffer.from(text), { qos: 1 });
	t.true((await s.offer(link, sampleEngine(builder))).held);
	t.like(s.intake.counters, { offers: 1, invalid: 2, held: 1, refused: 0 });
});
