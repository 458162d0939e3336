import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { FolderStore, newKey, trustKeys, writeBundle } from "@wattvox/bundle";
import { sampleFiles, sampleMeta, temporaryDir } from "@wattvox/bundle/testing";
import { ManualClock, systemClock, type WattvoxError } from "@wattvox/core";
import test from "ava";
import { Executor, type ExecutorOptions } from "./executor.ts";
import { DEADLINES, type Step, type Work } from "./planner.ts";

const digest = "a".repeat(64);
const never = () => new Promise<never>(() => undefined);
/** Ends with the signal's reason and no sooner. */
const obedient = (...given: unknown[]) =>
	new Promise<never>((_, reject) => {
		const signal = given.find((g) => g instanceof AbortSignal);
		signal?.addEventListener("abort", () => reject(signal.reason));
	});

function setUp(change: object = {}) {
	const clock = new ManualClock();
	const told: (string | undefined)[] = [];
	// every part hangs: until the signal says otherwise where the step passes one on, else for ever
	const hanging: unknown = new Proxy(
		{ voiceDir: () => "voice", store: { checkout: never, drop: never } },
		{ get: (own, name) => Reflect.get(own, name) ?? never },
	);
	const executor = new Executor({
		...{ state: hanging, voices: hanging, clock },
		...{ speaker: { swap: obedient }, link: obedient },
		...{ joules: { measure: obedient }, goodKept: 1 },
		onStuck: (why: WattvoxError | undefined) => told.push(why?.code),
		...change,
	} as unknown as ExecutorOptions);
	return { executor, clock, told };
}

/** One of each: a new kind of step does not compile before it is here. */
const steps: { [K in Work]: Extract<Step, { do: K }> } = {
	"fall-back": {
		...{ do: "fall-back", from: digest, to: digest },
		reason: { code: "E_MODEL", message: "" },
	},
	swap: { do: "swap", digest },
	confirm: { do: "confirm", revision: 1 },
	pull: { do: "pull", digest, store: "s" },
	"lay-out": { do: "lay-out", digest },
	try: { do: "try", digest },
	activate: { do: "activate", digest, revision: 1 },
	forget: { do: "forget", digest },
	prune: { do: "prune", digests: [digest] },
	engine: { do: "engine", digest },
	look: { do: "look", digest },
	measure: { do: "measure", digest, last: null },
};

test("every step has a deadline", (t) => {
	t.deepEqual(Object.keys(steps).sort(), Object.keys(DEADLINES).sort());
	for (const ms of Object.values(DEADLINES)) t.true(ms >= 60_000);
});

for (const step of Object.values(steps))
	test(`${step.do}: one that never ends is cut at its deadline, or else reported`, async (t) => {
		const { executor, clock, told } = setUp({
			engines: { prepare: obedient, ready: () => undefined },
		});
		const limit = DEADLINES[step.do];
		let end: WattvoxError | undefined;
		executor.execute(step, new AbortController().signal).catch((thrown) => {
			end = thrown;
		});
		await clock.advance(limit - 1);
		t.is(end, undefined);
		t.deepEqual(told, []);
		await clock.advance(1 + 10_000);
		// swap, pull and measure hear the signal; the others hang in the disk
		const cut = ["swap", "pull", "measure"].includes(step.do);
		t.is(end?.code, cut ? "E_TIMEOUT" : undefined);
		t.deepEqual(told, cut ? [] : ["E_TIMEOUT"]);
	});

test("one that ends after all says so, and counts as what it came to", async (t) => {
	let go: () => void = () => undefined;
	const state = {
		active: () =>
			new Promise((resolve) => {
				go = () => resolve(null);
			}),
	};
	const { executor, clock, told } = setUp({
		state,
		deadlines: { confirm: 50 },
	});
	const { signal } = new AbortController();
	const done = executor.execute({ do: "confirm", revision: 1 }, signal);
	await clock.advance(10_050);
	t.deepEqual(told, ["E_TIMEOUT"]);
	go();
	await done;
	t.deepEqual(told, ["E_TIMEOUT", undefined]);
	t.is(clock.sleeping, 0);
});

for (const speaking of [false, true])
	test(`a pull asks for ${speaking ? "one block at a time while the device speaks" : "many blocks at a time"}`, async (t) => {
		const root = await temporaryDir(t);
		const key = newKey();
		const { digest } = await writeBundle(
			join(root, "bundle"),
			sampleFiles({ decoderBytes: 1_000_000 }),
			sampleMeta("ada"),
			key,
		);
		const read = (name: string) => readFile(join(root, "bundle", name));
		const store = new FolderStore(join(root, "store"));
		await store.stage(await read("manifest.json"), await read("manifest.sig"));
		let asked: (blocks: number) => void = () => undefined;
		const first = new Promise<number>((resolve) => (asked = resolve));
		const stop = new AbortController();
		const { executor } = setUp({
			...{ state: { store }, speaker: { speaking }, clock: systemClock },
			...{ fleet: "f", device: "d", trust: trustKeys([key.publicKey]) },
			onProgress: () => undefined,
			link: async () => ({
				ready: true,
				...{ onReady: () => () => undefined, onLost: () => () => undefined },
				subscribe: async () => async () => undefined,
				publish: async (_: string, payload: Buffer) =>
					asked(JSON.parse(String(payload)).blocks.length),
			}),
		});
		const done = executor.execute(
			{ do: "pull", digest, store: "s" },
			stop.signal,
		);
		const blocks = await first;
		t.true(speaking ? blocks === 1 : blocks > 1, `${blocks} blocks`);
		stop.abort(new Error("enough"));
		await t.throwsAsync(done, { message: "enough" });
	});

test("who only waits is not timed", async (t) => {
	const { executor, clock } = setUp();
	const { signal } = new AbortController();
	await executor.execute({ do: "rest", until: 9 }, signal);
	t.is(clock.sleeping, 0);
});
