import { ManualClock, type WattvoxError } from "@wattvox/core";
import test from "ava";
import { type Ask, Subscriptions } from "./subscriptions.ts";

const lost = new Error("the connection was lost");

/** Subscriptions, and a broker that takes some filters, refuses some, and ends the connection over others. */
function setUp(says: Record<string, "yes" | "no" | "cut">) {
	const clock = new ManualClock();
	const asked: string[][] = [];
	const unheard: string[] = [];
	const waits: number[] = [];
	const subscriptions = new Subscriptions({
		clock,
		random: () => 1,
		againMs: { base: 1000, max: 3000 },
		onUnheard: (why) => unheard.push(why.code),
		onWait: (ms) => waits.push(ms),
	});
	const ask: Ask = async (filters) => {
		asked.push([...filters]);
		if (filters.some((f) => says[f] === "cut")) throw lost;
		return filters.map((f) => (says[f] === "no" ? 0x87 : 1));
	};
	const add = (
		filter: string,
		onDenied?: (why: WattvoxError | null) => void,
	) => {
		const handler = () => undefined;
		return subscriptions.add(filter, { handler, onDenied, waits: false });
	};
	/** A new connection. @returns whether it is of use */
	const connect = async () => {
		subscriptions.lost();
		try {
			await subscriptions.renew(ask);
			return true;
		} catch {
			return false;
		}
	};
	return {
		says,
		clock,
		subscriptions,
		ask,
		asked,
		unheard,
		waits,
		add,
		connect,
	};
}

test("one that ends the connection is found among the others, and left out", async (t) => {
	const s = setUp({ bad: "cut" });
	const told: (string | undefined)[] = [];
	s.add("good");
	s.add("bad", (why) => told.push(why?.code));
	const of: boolean[] = [];
	for (let n = 0; n < 6; n++) of.push(await s.connect());
	t.deepEqual(of, [false, false, false, false, false, true]);
	t.deepEqual(s.asked.slice(0, 4), [
		["good", "bad"],
		["good"],
		["bad"],
		["good"],
	]);
	t.deepEqual(told, ["E_DENIED"]);
	t.deepEqual(s.unheard, []);
	t.deepEqual(s.asked.at(-1), ["good"]);
});

test("what was denied is asked for again after waits that double, and whoever wants it is told", async (t) => {
	const s = setUp({ bad: "cut" });
	const told: (string | undefined)[] = [];
	const { entry } = s.add("bad", (why) => told.push(why?.code));
	for (let n = 0; n < 4; n++) t.false(await s.connect());
	t.true(await s.connect());
	await t.throwsAsync(s.subscriptions.settled(entry), { code: "E_DENIED" });
	for (const wait of [1000, 2000, 3000, 3000]) {
		t.is(s.waits.at(-1), wait);
		const before = s.asked.length;
		await s.clock.advance(wait - 1);
		await s.subscriptions.retry(s.ask);
		t.is(s.asked.length, before, "not before its time");
		await s.clock.advance(1);
		await t.throwsAsync(s.subscriptions.retry(s.ask), { is: lost });
	}
	s.says.bad = "yes";
	await s.clock.advance(3000);
	await s.subscriptions.retry(s.ask);
	t.is(told.at(-1), undefined);
	t.is(told.filter((code) => code === undefined).length, 1);
	await s.subscriptions.settled(entry);
	// and a bad connection later begins to count anew
	s.says.bad = "cut";
	for (let n = 0; n < 3; n++) await s.connect();
	t.is(told.filter((code) => code === "E_DENIED").length, 5);
	await s.connect();
	t.is(told.at(-1), "E_DENIED");
});

test("a refusal is believed at once, and asked about on every connection", async (t) => {
	const s = setUp({ bad: "no" });
	s.add("good");
	const { entry } = s.add("bad");
	t.true(await s.connect());
	t.deepEqual(s.unheard, ["E_DENIED"]);
	const waiting = s.subscriptions.settled(entry);
	s.says.bad = "yes";
	t.true(await s.connect());
	await waiting;
	t.deepEqual(s.asked, [
		["good", "bad"],
		["good", "bad"],
	]);
});

test("who gave up is not asked for; what is known of a denial stays", async (t) => {
	const s = setUp({ bad: "cut" });
	const first = s.add("bad");
	for (let n = 0; n < 5; n++) await s.connect();
	t.false(first.remove(), "there is nothing to take back at the broker");
	const before = s.asked.length;
	await s.clock.advance(1000);
	await s.subscriptions.retry(s.ask);
	t.true(await s.connect());
	t.is(s.asked.length, before);
	// whoever comes next costs one connection, not several
	const { entry } = s.add("bad");
	const settled = s.subscriptions.settled(entry);
	await t.throwsAsync(s.subscriptions.askFor(entry, s.ask), { is: lost });
	await t.throwsAsync(settled, { code: "E_DENIED" });
});

test("a link that stops ends the waiting", async (t) => {
	const s = setUp({});
	const { entry } = s.add("good");
	const settled = s.subscriptions.settled(entry);
	s.subscriptions.fail(lost as WattvoxError);
	await t.throwsAsync(settled, { is: lost });
});
