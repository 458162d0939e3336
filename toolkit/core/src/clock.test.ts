import test from "ava";
import { ManualClock, systemClock } from "./clock.ts";

test("the system clock's monotonic time does not run backwards and sleeps at least as asked", async (t) => {
	const begin = systemClock.monotonic();
	await systemClock.sleep(5);
	// timers are rounded to whole milliseconds
	t.true(systemClock.monotonic() - begin >= 4);
	t.true(Math.abs(systemClock.wall() - Date.now()) < 1000);
});

test("the system clock sleeps longer than Node's timers count", async (t) => {
	const over = new AbortController();
	const asleep = systemClock.sleep(2 ** 33, over.signal).then(
		() => "woke",
		() => "asleep",
	);
	await systemClock.sleep(50);
	over.abort();
	t.is(await asleep, "asleep");
});

for (const [name, make] of [
	["system", () => systemClock],
	["manual", () => new ManualClock()],
] as const)
	test(`${name} clock: an aborted sleep throws the reason itself`, async (t) => {
		const reason = new Error("enough");
		const controller = new AbortController();
		const asleep = make().sleep(60_000, controller.signal);
		controller.abort(reason);
		t.is(await t.throwsAsync(asleep), reason);
		t.is(
			await t.throwsAsync(make().sleep(1, AbortSignal.abort(reason))),
			reason,
		);
	});

test("a manual clock wakes sleepers in order, also those that sleep again", async (t) => {
	const clock = new ManualClock(1000);
	const seen: [string, number][] = [];
	const nap = async (name: string, ...spans: number[]) => {
		for (const span of spans) {
			await clock.sleep(span);
			seen.push([name, clock.monotonic()]);
		}
	};
	const done = Promise.all([nap("a", 30, 10), nap("b", 20, 100)]);
	t.is(clock.sleeping, 2);
	await clock.advance(50);
	t.deepEqual(seen, [
		["b", 20],
		["a", 30],
		["a", 40],
	]);
	t.is(clock.monotonic(), 50);
	t.is(clock.wall(), 1050);
	await clock.advance(100);
	await done;
	t.is(clock.sleeping, 0);
});
