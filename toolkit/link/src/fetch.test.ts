import { type Clock, ManualClock, WattvoxError } from "@wattvox/core";
import test from "ava";
import fc from "fast-check";
import {
	type Again,
	BlockFetcher,
	type Channel,
	type FetchOptions,
	type Want,
} from "./fetch.ts";
import { decode, encodeBlock, zPull } from "./messages.ts";
import type { DeniedListener } from "./subscriptions.ts";

const digest = "ab".repeat(32);

/** A link and a store in one, whose every answer a test decides about. */
function fakeStore(
	answer: (index: number, time: number) => "good" | "bad" | "lost" | "busy",
) {
	const asked: number[] = [];
	/** Asked for, and the answer not yet given. */
	const open = new Set<number>();
	let most = 0;
	const times = new Map<number, number>();
	const lost = new Set<() => void>();
	const ready = new Set<() => void>();
	let deny: DeniedListener = () => undefined;
	let handler:
		| ((topic: string, payload: Buffer, r: boolean) => void)
		| undefined;
	const channel = {
		ready: true,
		onLost(fn: () => void) {
			lost.add(fn);
			return () => lost.delete(fn);
		},
		onReady(fn: () => void) {
			ready.add(fn);
			return () => ready.delete(fn);
		},
		async subscribe(
			_: string,
			fn: NonNullable<typeof handler>,
			_signal?: AbortSignal,
			onDenied?: DeniedListener,
		) {
			handler = fn;
			deny = (why) => onDenied?.(why);
			return async () => {
				handler = undefined;
			};
		},
		async publish(_: string, payload: Buffer) {
			const pull = decode(zPull, payload);
			if (!pull) throw new Error("not a request");
			const { id, kind, digest } = pull;
			for (const index of pull.blocks) {
				asked.push(index);
				const time = (times.get(index) ?? 0) + 1;
				times.set(index, time);
				const what = answer(index, time);
				if (what === "lost") continue;
				open.add(index);
				most = Math.max(most, open.size);
				const header = { v: 1, id, kind, digest, index } as const;
				const message =
					what === "busy"
						? encodeBlock({ ...header, error: "busy" })
						: encodeBlock(header, Buffer.from([what === "good" ? 1 : 0]));
				setImmediate(() => {
					open.delete(index);
					handler?.("", message, false);
				});
			}
		},
	};
	return {
		channel: channel as Channel,
		/** The broker denies to pass answers on. */
		deny: (why: WattvoxError) => deny(why),
		say: (message: Buffer) => handler?.("", message, false),
		asked,
		most: () => most,
		cut() {
			channel.ready = false;
			for (const fn of [...lost]) fn();
		},
		mend() {
			channel.ready = true;
			for (const fn of [...ready]) fn();
		},
	};
}

function wants(n: number, taken: number[]): Want[] {
	return Array.from({ length: n }, (_, index) => ({
		kind: "blob" as const,
		digest,
		index,
		take(bytes: Uint8Array) {
			if (bytes[0] !== 1) return false;
			taken.push(index);
			return true;
		},
	}));
}

function fetcher(
	store: ReturnType<typeof fakeStore>,
	clock: ManualClock,
	more: Partial<FetchOptions> = {},
) {
	return new BlockFetcher({
		link: store.channel,
		fleet: "f",
		device: "d",
		store: "s",
		window: 4,
		stallMs: 1000,
		clock,
		random: () => 0.5,
		...more,
	});
}

/** Lets time pass until the promise settles. */
async function pass<T>(promise: Promise<T>, clock: ManualClock): Promise<T> {
	let settled = false;
	const end = () => {
		settled = true;
	};
	promise.then(end, end);
	for (let i = 0; i < 5000 && !settled; i++) await clock.advance(100);
	return promise;
}

test("blocks are fetched once each, in few requests, in order", async (t) => {
	const clock = new ManualClock();
	const store = fakeStore(() => "good");
	const taken: number[] = [];
	const f = fetcher(store, clock, { window: 8 });
	await pass(f.fetch(wants(20, taken)), clock);
	const all = Array.from({ length: 20 }, (_, i) => i);
	t.deepEqual(taken, all);
	t.deepEqual(store.asked, all);
	t.true(f.counters.requests <= 10, `${f.counters.requests}`);
	await f.fetch([]);
});

test("whatever gets lost or damaged, each block is taken once and the window is kept", async (t) => {
	await fc.assert(
		fc.asyncProperty(
			fc.array(fc.constantFrom("good", "lost", "bad"), { maxLength: 30 }),
			fc.integer({ min: 1, max: 8 }),
			async (script, window) => {
				const clock = new ManualClock();
				const store = fakeStore((index, time) =>
					time === 1 ? (script[index] ?? "good") : "good",
				);
				const taken: number[] = [];
				let again = 0;
				const onAgain = ({ blocks }: Again) => {
					again += blocks;
				};
				const f = fetcher(store, clock, { window, onAgain });
				await pass(f.fetch(wants(30, taken)), clock);
				t.is(f.counters.asked, 30 + again, "each repeat is told");
				t.true(store.most() <= window, `${store.most()} of ${window}`);
				t.is(new Set(taken).size, 30);
				t.is(taken.length, 30);
				const repeats = script.filter((s) => s !== "good").length;
				t.true(f.counters.asked <= 30 + repeats + window * f.counters.stalls);
			},
		),
		{ numRuns: 60 },
	);
});

test("one block lost among many is asked for again without waiting for silence", async (t) => {
	const clock = new ManualClock();
	const store = fakeStore((index, time) =>
		index === 3 && time === 1 ? "lost" : "good",
	);
	const f = fetcher(store, clock);
	await pass(f.fetch(wants(40, [])), clock);
	t.is(f.counters.stalls, 0);
	t.is(f.counters.asked, 41);
});

test("after a cut, at most one window is asked for twice", async (t) => {
	const clock = new ManualClock();
	const store = fakeStore(() => "good");
	const taken: number[] = [];
	const f = fetcher(store, clock);
	const list = wants(20, taken);
	const tenth = list[10];
	if (tenth) {
		const { take } = tenth;
		tenth.take = (bytes, header) => {
			store.cut();
			setImmediate(() => store.mend());
			return take(bytes, header);
		};
	}
	await pass(f.fetch(list), clock);
	t.is(f.counters.lost, 1);
	t.is(taken.length, 20);
	t.true(store.asked.length <= 24, `${store.asked.length}`);
});

test("it is said why blocks are asked for again", async (t) => {
	const cases = [
		["lost", "silence"],
		["busy", "refused"],
		["bad", "damaged"],
	] as const;
	for (const [what, why] of cases) {
		const clock = new ManualClock();
		const store = fakeStore((_, time) => (time === 1 ? what : "good"));
		const told: Again[] = [];
		const onAgain = (again: Again) => told.push(again);
		await pass(fetcher(store, clock, { onAgain }).fetch(wants(1, [])), clock);
		t.is(told.length, 1, what);
		t.like(told[0], { why, blocks: 1 });
		t.regex(told[0]?.pull ?? "", /^[0-9a-f]{16}$/);
	}
});

test("silence, refusal, damage and a missing broker each end after their limit", async (t) => {
	const cases = [
		["lost", "E_TIMEOUT", 6],
		["busy", "E_PULL", 6],
		["bad", "E_TAMPERED", 3],
	] as const;
	for (const [what, code, times] of cases) {
		const clock = new ManualClock();
		const store = fakeStore(() => what);
		const f = fetcher(store, clock, { window: 1 });
		await t.throwsAsync(pass(f.fetch(wants(1, [])), clock), { code }, what);
		t.is(store.asked.length, times, what);
	}
	const clock = new ManualClock();
	const store = fakeStore(() => "good");
	store.cut();
	const f = fetcher(store, clock, { offlineMs: 5000 });
	await t.throwsAsync(pass(f.fetch(wants(1, [])), clock), { code: "E_BROKER" });
	t.is(store.asked.length, 0);
});

test("a store that is busy for a while is waited for, politely", async (t) => {
	const clock = new ManualClock();
	const store = fakeStore((_, time) => (time <= 2 ? "busy" : "good"));
	const taken: number[] = [];
	const f = fetcher(store, clock);
	await pass(f.fetch(wants(8, taken)), clock);
	t.is(taken.length, 8);
});

test("the window follows the link: it grows while blocks come quickly, up to its limit", async (t) => {
	for (const [blockMs, most] of [
		[1, 128],
		[100, 32],
	] as const) {
		const store = fakeStore(() => "good");
		const taken: number[] = [];
		const clock = new ManualClock();
		clock.monotonic = () => blockMs * taken.length;
		const f = fetcher(store, clock, { window: 128 });
		await f.fetch(wants(600, taken));
		t.is(store.most(), most, `${blockMs} ms a block`);
		t.is(f.counters.asked, 600);
	}
});

test("blocks are kept by quarters of a window, and until then they use up credit", async (t) => {
	const clock = new ManualClock();
	const store = fakeStore(() => "good");
	const taken: number[] = [];
	const sizes: number[] = [];
	let begun = 0;
	let kept = 0;
	let most = 0;
	const f = fetcher(store, clock, { window: 8 });
	const look = () => {
		most = Math.max(most, store.asked.length - kept);
	};
	await pass(
		f.fetch(wants(30, taken), undefined, async () => {
			look();
			const covers = taken.length;
			sizes.push(covers - begun);
			begun = covers;
			await clock.sleep(50);
			kept = covers;
		}),
		clock,
	);
	look();
	t.is(kept, 30, "it does not end before all are kept");
	t.true(most <= 8, `${most}`);
	t.true(Math.max(...sizes) <= 8 && sizes.length >= 4, sizes.join(" "));
});

test("what came before a silence is kept within a fraction of a second", async (t) => {
	const clock = new ManualClock();
	const store = fakeStore((index) => (index === 0 ? "good" : "lost"));
	const taken: number[] = [];
	let keeps = 0;
	const f = fetcher(store, clock, { window: 16, stallLimit: 1 });
	const fetching = f.fetch(wants(16, taken), undefined, async () => {
		keeps++;
	});
	fetching.catch(() => undefined);
	while (taken.length < 1) await clock.advance(0);
	t.is(keeps, 0, "less than a quarter, and others are under way");
	await clock.advance(250);
	t.is(keeps, 1);
	await t.throwsAsync(pass(fetching, clock), { code: "E_TIMEOUT" });
});

test("a disk that fails ends the fetch", async (t) => {
	const clock = new ManualClock();
	const store = fakeStore(() => "good");
	const f = fetcher(store, clock);
	const fetching = f.fetch(wants(20, []), undefined, async () => {
		throw new WattvoxError("E_DISK_FULL", "no room");
	});
	await t.throwsAsync(pass(fetching, clock), { code: "E_DISK_FULL" });
	await pass(f.fetch(wants(5, [])), clock);
});

test("an abort ends it with the signal's reason, and it can fetch again", async (t) => {
	const clock = new ManualClock();
	const store = fakeStore(() => "lost");
	const f = fetcher(store, clock);
	const stop = new AbortController();
	const fetching = f.fetch(wants(3, []), stop.signal);
	stop.abort(new Error("enough"));
	await t.throwsAsync(fetching, { message: "enough" });
	t.is(clock.sleeping, 0);
	await t.throwsAsync(f.fetch(wants(3, []), stop.signal), {
		message: "enough",
	});
});

test("a broker that keeps the answers from here ends it", async (t) => {
	const store = fakeStore(() => "lost");
	const f = fetcher(store, new ManualClock());
	const fetching = f.fetch(wants(3, []));
	await new Promise((resolve) => setImmediate(resolve));
	const why = new WattvoxError("E_DENIED", "no");
	store.deny(why);
	await t.throwsAsync(fetching, { is: why });
});

test("connections that end over each request end it; any answer in between begins anew", async (t) => {
	const answering = { on: false };
	const store = fakeStore(() => (answering.on ? "good" : "lost"));
	const f = fetcher(store, new ManualClock(), { stallLimit: 3 });
	const taken: number[] = [];
	let ended = "";
	const fetching = f.fetch(wants(50, taken)).catch((thrown) => {
		ended = thrown.code;
	});
	const turn = () => new Promise((resolve) => setImmediate(resolve));
	/** A connection that ends once something was asked for on it, and answered where there are answers. */
	const connection = async (asked: number) => {
		const had = taken.length;
		while (store.asked.length === asked) await turn();
		while (answering.on && taken.length === had) await turn();
		store.cut();
		await turn();
	};
	const next = () => {
		const asked = store.asked.length;
		store.mend();
		return connection(asked);
	};
	await connection(0);
	await next();
	answering.on = true;
	await next();
	answering.on = false;
	// two in a row, or one where nothing was asked for after the last answer
	await next();
	t.is(ended, "");
	await next();
	if (ended === "") await next();
	t.is(ended, "E_DENIED");
	await fetching;
});

test("a refusal that answers another fetch's question is not this one's", async (t) => {
	const store = fakeStore(() => "good");
	const clock = new ManualClock();
	const taken: number[] = [];
	const f = fetcher(store, clock);
	const fetching = f.fetch(wants(3, taken));
	while (store.asked.length === 0) await Promise.resolve();
	const header = {
		v: 1,
		id: "earlier",
		kind: "blob",
		digest,
		index: 1,
	} as const;
	store.say(encodeBlock({ ...header, error: "unknown" }));
	await pass(fetching, clock);
	t.deepEqual(taken.sort(), [0, 1, 2]);
	t.is(f.counters.stray, 1);
});

test("a process that got no turn for a while takes that for no silence", async (t) => {
	const clock = new ManualClock();
	let late = 0;
	/** Turns come late, time goes on. */
	const busy: Clock = {
		wall: () => clock.wall(),
		monotonic: () => clock.monotonic() + late,
		async sleep(ms, signal) {
			await clock.sleep(ms, signal);
			late += 4000;
		},
	};
	const store = fakeStore((_, time) => (time === 1 ? "lost" : "good"));
	const f = fetcher(store, clock, { clock: busy });
	const fetching = f.fetch(wants(1, []));
	await clock.advance(500);
	t.is(f.counters.stalls, 0);
	// and a silence is still found
	await pass(fetching, clock);
	t.is(f.counters.stalls, 1);
});
