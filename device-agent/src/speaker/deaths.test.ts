import test from "ava";
import { Changes } from "./changes.ts";
import { Deaths } from "./deaths.ts";

test("after a single death there is no waiting, after quick ones in a row there is", (t) => {
	const deaths = new Deaths();
	const waits = [0, 9999, 20_000, 25_000, 99_000].map((now, i) => {
		const wait = deaths.died(now);
		// what is started after the second death lives long
		deaths.born(i === 1 ? 9999 : now);
		return wait;
	});
	t.is(waits[0], 0);
	t.true((waits[1] ?? 0) >= 0 && (waits[1] ?? 0) <= 200);
	// 10 s after its start: the row begins anew
	t.deepEqual([waits[2], waits[4]], [0, 0]);
	t.is(deaths.all, 5);
});

test("a voice is to blame after three deaths in a row while it was loaded", (t) => {
	const deaths = new Deaths();
	t.deepEqual([deaths.whileLoading(), deaths.whileLoading()], [1, 2]);
	t.false(deaths.blamed);
	deaths.forgive();
	for (const count of [1, 2, 3]) t.is(deaths.whileLoading(), count);
	t.true(deaths.blamed);
	deaths.forgive();
	t.false(deaths.blamed);
});

test("who waits for a change looks at each, and may leave", async (t) => {
	const changes = new Changes();
	const leave = new AbortController();
	let n = 0;
	const two = changes.until(() => n === 2, new AbortController().signal);
	const left = changes.until(() => n === 9, leave.signal);
	n = 1;
	changes.happened();
	n = 2;
	changes.happened();
	await two;
	leave.abort(new Error("enough"));
	await t.throwsAsync(left, { message: "enough" });
	await changes.until(() => true, leave.signal);
});
