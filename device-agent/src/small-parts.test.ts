import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { newKey, trustKeys } from "@wattvox/bundle";
import { ManualClock, WattvoxError } from "@wattvox/core";
import { encodeDesired } from "@wattvox/link";
import test, { type ExecutionContext } from "ava";
import { Bell } from "./bell.ts";
import { Floors } from "./floors.ts";
import { Latest } from "./latest.ts";
import { Retry, repeats } from "./retry.ts";
import { Turns } from "./speaker/turns.ts";
import { DeviceState } from "./state.ts";
import { Wishes } from "./wishes.ts";

async function folder(t: ExecutionContext) {
	const dir = await mkdtemp(join(tmpdir(), "wattvox-device-"));
	t.teardown(() => rm(dir, { recursive: true, force: true }));
	return dir;
}

const never = new AbortController().signal;

test("Latest sends one at a time, leaves out what was overtaken, and outlives failures", async (t) => {
	const sent: number[] = [];
	const gates: (() => void)[] = [];
	const latest = new Latest<number>(async (n) => {
		sent.push(n);
		await new Promise<void>((resolve) => gates.push(resolve));
		if (n === 1) throw new Error("lost");
	});
	const done = latest.offer(1);
	for (const n of [2, 3, 4]) void latest.offer(n);
	t.deepEqual(sent, [1]);
	gates.shift()?.();
	await new Promise((resolve) => setImmediate(resolve));
	t.deepEqual(sent, [1, 4]);
	gates.shift()?.();
	await done;
	await latest.idle();
	void latest.offer(5);
	t.deepEqual(sent, [1, 4, 5]);
	gates.shift()?.();
	await latest.idle();
});

test("Turns go one by one in order, up to a bound, and those who leave make room", async (t) => {
	const turns = new Turns(2);
	const first = await turns.take(never);
	const order: string[] = [];
	const stop = new AbortController();
	const second = turns.take(stop.signal);
	const third = turns.take(never).then((give) => {
		order.push("third");
		return give;
	});
	await t.throwsAsync(turns.take(never), { code: "E_BUSY" });
	stop.abort(new WattvoxError("E_INTERRUPTED", "left"));
	await t.throwsAsync(second, { code: "E_INTERRUPTED" });
	t.is(turns.waiting, 1);
	first();
	const give = await third;
	const fourth = turns.take(never).then((g) => {
		order.push("fourth");
		return g;
	});
	give();
	(await fourth)();
	t.deepEqual(order, ["third", "fourth"]);
	(await turns.take(never))();
});

test("waits grow with failures, up to a limit, and begin anew after a success", async (t) => {
	const clock = new ManualClock();
	const retry = new Retry(clock, { base: 100, max: 1000 });
	t.is(retry.at, null);
	for (let attempt = 1; attempt <= 20; attempt++) {
		const at = retry.later();
		t.is(retry.at, at);
		t.true(at >= 50 && at <= 50 + Math.min(1000, 100 * 2 ** (attempt - 1)));
	}
	retry.reset();
	t.is(retry.at, null);
	t.true(retry.later() <= 150);
});

test("only failures that would repeat reject a bundle", (t) => {
	const error = (
		code:
			| "E_GOLDEN"
			| "E_MODEL"
			| "E_SIGNATURE"
			| "E_MEMORY"
			| "E_PULL"
			| "E_TAMPERED"
			| "E_EXPIRED"
			| "E_FILE_FORMAT",
	) => new WattvoxError(code, "x");
	const digest = "a".repeat(64);
	const pull = { do: "pull", digest, store: "s" } as const;
	const attempt = { do: "try", digest } as const;
	t.true(repeats(attempt, error("E_GOLDEN")));
	t.true(repeats(attempt, error("E_MODEL")));
	t.false(repeats(attempt, error("E_MEMORY")));
	// before a signature holds, anybody may have answered
	t.false(repeats(pull, error("E_SIGNATURE")));
	t.true(repeats(pull, error("E_FILE_FORMAT")));
	// a clock that is ahead may be put right
	t.false(repeats(pull, error("E_EXPIRED")));
	t.true(repeats({ do: "lay-out", digest }, error("E_SIGNATURE")));
	t.false(repeats(pull, error("E_PULL")));
	t.false(repeats(pull, error("E_TAMPERED")));
	t.false(repeats({ do: "lay-out", digest }, error("E_TAMPERED")));
	t.false(repeats({ do: "swap", digest }, error("E_MODEL")));
});

test("wishes: the floor only rises, also across restarts", async (t) => {
	const dir = await folder(t);
	const key = newKey();
	const trust = trustKeys([key.publicKey]);
	const to = { fleet: "f", device: "d" };
	const wish = (revision: number, device = "d", by = key) =>
		encodeDesired(
			{
				v: 1,
				fleet: "f",
				device,
				bundle: "a".repeat(64),
				store: "s",
				revision,
				at: "2026-01-01T00:00:00Z",
			},
			by,
		);
	const state = new DeviceState(dir);
	await state.prepare();
	const wishes = new Wishes(state, to, trust, new Floors(dir, trust));
	await wishes.recall();
	t.is(wishes.current, null);
	t.is(wishes.hear(wish(5)), "new");
	t.is(wishes.current, null, "not before it is on disk");
	t.like(wishes.hear(wish(4)), { code: "E_SIGNATURE" });
	t.is(wishes.hear(wish(5)), "known");
	await wishes.keep();
	t.is(wishes.current?.revision, 5);
	await wishes.keep();

	const restarted = async () => {
		const floors = new Floors(dir, trust);
		await floors.recall();
		const wishes = new Wishes(new DeviceState(dir), to, trust, floors);
		await wishes.recall();
		return wishes;
	};
	const again = await restarted();
	t.is(again.current?.revision, 5);
	t.like(again.hear(wish(4)), { code: "E_SIGNATURE" });
	t.is(again.hear(wish(5)), "known");
	t.like(again.hear(wish(6, "other")), { code: "E_SIGNATURE" });
	t.like(again.hear(wish(6, "d", newKey())), { code: "E_SIGNATURE" });
	t.like(again.hear(Buffer.from("{}")), { code: "E_SIGNATURE" });
	t.is(again.hear(wish(6)), "new");

	// A file that was tampered with is no wish.
	const path = join(dir, "desired.bin");
	const bytes = await readFile(path);
	await writeFile(path, bytes.subarray(1));
	const third = await restarted();
	t.is(third.current, null);
	// what it asked for is gone, how high it stood is not
	t.like(third.hear(wish(4)), { code: "E_SIGNATURE" });
	t.is(third.hear(wish(5)), "new");
});

test("state: what cannot be read is as if it were not there", async (t) => {
	const dir = await folder(t);
	const state = new DeviceState(dir);
	await state.prepare();
	t.is(await state.active(), null);
	const digest = "b".repeat(64);
	await state.setActive({ digest, revision: 3, previous: null });
	t.is(await state.active(), null, "it points to nothing");
	for (const text of ["", "{", "[]", '{"v":1,"digest":"../../etc"}']) {
		await writeFile(join(dir, "active.json"), text);
		t.is(await state.active(), null);
	}
	await writeFile(join(dir, "rejected.json"), "{}");
	t.is((await state.rejected()).size, 0);
	const many = Array.from({ length: 50 }, (_, i) => {
		const reason = { code: "E_GOLDEN", message: "x", revision: i + 1 } as const;
		return [i.toString(16).padStart(64, "0"), reason] as const;
	});
	await state.setRejected(new Map(many));
	const kept = await state.rejected();
	t.is(kept.size, 32);
	t.true([...kept.values()].every((r) => r.revision > 18));
	t.false(await state.intact(digest));
	t.throws(() => state.voiceDir("../x"));
});

test("a ring is never missed: not before the wait, not during it", async (t) => {
	const clock = new ManualClock();
	const bell = new Bell(clock);
	bell.ring();
	await bell.wait();
	bell.reset();
	let woken = false;
	const waiting = bell.wait().then(() => {
		woken = true;
	});
	await clock.advance(1000);
	t.false(woken);
	bell.ring();
	await waiting;
	bell.reset();
	const until = bell.wait(clock.monotonic() + 500);
	await clock.advance(500);
	await until;
	t.is(clock.sleeping, 0);
});
