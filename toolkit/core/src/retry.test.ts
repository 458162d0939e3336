import test from "ava";
import fc from "fast-check";
import { ManualClock } from "./clock.ts";
import { backoff, retry } from "./retry.ts";

test("backoff stays below its ceiling, which doubles up to the maximum", (t) => {
	fc.assert(
		fc.property(
			fc.integer({ min: 1, max: 2000 }),
			fc.integer({ min: 1, max: 1000 }),
			fc.integer({ min: 1, max: 60_000 }),
			fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
			(attempt, base, max, r) => {
				const wait = backoff(attempt, base, max, () => r);
				return wait >= 0 && wait <= max && wait <= base * 2 ** (attempt - 1);
			},
		),
	);
	t.is(
		backoff(3, 100, 10_000, () => 0.5),
		200,
	);
	t.is(
		backoff(30, 100, 10_000, () => 0.5),
		5000,
	);
});

test("it succeeds after failures and waits between them", async (t) => {
	const clock = new ManualClock();
	const waits: number[] = [];
	const result = retry(
		async (attempt) => {
			if (attempt < 4) throw new Error(`no ${attempt}`);
			return attempt;
		},
		{
			clock,
			random: () => 0.5,
			baseMs: 100,
			onRetry: (_, __, wait) => waits.push(wait),
		},
	);
	await clock.advance(1000);
	t.is(await result, 4);
	t.deepEqual(waits, [50, 100, 200]);
});

test("the limit ends it with the last failure", async (t) => {
	const clock = new ManualClock();
	let calls = 0;
	const result = retry(
		async () => {
			calls++;
			throw new Error(`failure ${calls}`);
		},
		{ clock, limit: 3 },
	);
	const failed = t.throwsAsync(result, { message: "failure 3" });
	await clock.advance(60_000);
	await failed;
	t.is(calls, 3);
});

test("what cannot be helped is not tried again", async (t) => {
	let calls = 0;
	await t.throwsAsync(
		retry(
			async () => {
				calls++;
				throw new Error("wrong key");
			},
			{ retryable: () => false, clock: new ManualClock() },
		),
		{ message: "wrong key" },
	);
	t.is(calls, 1);
});

test("back-pressure from the other side is honoured", async (t) => {
	const clock = new ManualClock();
	const waits: number[] = [];
	const result = retry(
		async (attempt) => {
			if (attempt === 1)
				throw Object.assign(new Error("busy"), { retryAfterMs: 7000 });
			return "ok";
		},
		{ clock, onRetry: (_, __, wait) => waits.push(wait) },
	);
	await clock.advance(7000);
	t.is(await result, "ok");
	t.deepEqual(waits, [7000]);
});

test("an abort ends the wait with its own reason", async (t) => {
	const reason = new Error("Ctrl-C");
	const controller = new AbortController();
	const clock = new ManualClock();
	const result = retry(
		async () => {
			throw new Error("down");
		},
		{
			clock,
			signal: controller.signal,
			onRetry: () => controller.abort(reason),
		},
	);
	t.is(await t.throwsAsync(result), reason);
	t.is(clock.sleeping, 0);
});
