import { setImmediate } from "node:timers/promises";
import { ManualClock, WattvoxError } from "@wattvox/core";
import {
	type PowerMessage,
	type UtterancesMessage,
	zPowerMessage,
	zUtterancesMessage,
} from "@wattvox/link";
import test, { type ExecutionContext } from "ava";
import { folder, reading, utterance } from "./_entries.test.ts";
import { Backlog } from "./backlog.ts";
import { Outbox } from "./outbox.ts";

async function setup(t: ExecutionContext, dir: string, maxBytes?: number) {
	const link = { online: false, failing: false, denied: "" };
	const power: PowerMessage[] = [];
	const utterances: UtterancesMessage[] = [];
	let under = 0;
	let most = 0;
	const backlog = new Backlog(dir, maxBytes === undefined ? {} : { maxBytes });
	await backlog.open();
	const outbox = new Outbox({
		...{ device: "d1", deviceClass: "orin-nano", backlog },
		online: () => link.online,
		clock: new ManualClock(),
		async publish(kind, message) {
			most = Math.max(most, ++under);
			await setImmediate();
			under--;
			if (link.failing) throw new Error("away");
			if (link.denied === kind) throw new WattvoxError("E_DENIED", kind);
			if (kind === "power") power.push(zPowerMessage.parse(message));
			else utterances.push(zUtterancesMessage.parse(message));
		},
	});
	t.teardown(() => backlog.close());
	const records = () => utterances.flatMap((m) => m.records);
	return {
		link,
		power,
		utterances,
		records,
		backlog,
		outbox,
		most: () => most,
	};
}

test("what came while there was no broker goes out when there is one, in few messages", async (t) => {
	const dir = await folder(t);
	const before = await setup(t, dir);
	for (let n = 0; n < 250; n++) {
		void before.outbox.utterance(utterance("a", n).body);
		void before.outbox.power(reading("a", n, n % 50).body);
	}
	await before.outbox.power(reading("a", 250).body, true);
	t.is(before.power.length + before.utterances.length, 0);
	// another process takes it up
	const after = await setup(t, dir);
	after.link.online = true;
	await after.outbox.drain();
	t.deepEqual(
		after.records(),
		Array.from({ length: 250 }, (_, n) => utterance("a", n).body),
	);
	t.is(after.utterances.length, 13);
	t.is(Math.max(...after.power.map((m) => m.sequence)), 250);
	t.is(after.backlog.length, 0);
	t.true(after.most() <= 20);
	t.like(after.utterances[0], {
		device: "d1",
		deviceClass: "orin-nano",
		log: after.backlog.log,
	});
});

test("what was not acknowledged comes again, and nothing is missing", async (t) => {
	const { link, outbox, records, power } = await setup(t, await folder(t));
	link.online = true;
	link.failing = true;
	await outbox.utterance(utterance("a", 0).body);
	await outbox.power(reading("a", 0).body);
	await outbox.drain();
	t.is(records().length + power.length, 0);
	link.failing = false;
	await outbox.utterance(utterance("a", 1).body);
	await outbox.drain();
	t.deepEqual(
		records().map((r) => r.n),
		[0, 1],
	);
	t.deepEqual(power, [reading("a", 0).body]);
});

for (const denied of ["power", "utterances"] as const)
	test(`${denied} that the broker denies stay, and hold up nothing else`, async (t) => {
		const s = await setup(t, await folder(t));
		Object.assign(s.link, { online: true, denied });
		for (let n = 0; n < 3; n++) {
			await s.outbox.power(reading(`boot-${n}`, n).body, true);
			await s.outbox.utterance(utterance("a", n).body);
		}
		await s.outbox.drain();
		const came = () => [s.power.length, s.records().length];
		t.deepEqual(came(), denied === "power" ? [0, 3] : [3, 0]);
		t.is(s.backlog.length, 3);
		s.link.denied = "";
		await s.outbox.drain();
		t.deepEqual(came(), [3, 3]);
		t.is(s.backlog.length, 0);
	});

test("losses are told once, also when nothing else is to be told", async (t) => {
	const dir = await folder(t);
	const { link, outbox, utterances, backlog } = await setup(t, dir, 4000);
	for (let n = 0; n < 60; n++) await outbox.power(reading("a", n).body);
	link.online = true;
	await outbox.drain();
	t.is(utterances.length, 1);
	t.deepEqual(utterances[0]?.records, []);
	t.true((utterances[0]?.lost.readings ?? 0) > 0);
	await outbox.power(reading("a", 60).body);
	await outbox.drain();
	t.is(utterances.length, 1);
	t.is(backlog.length, 0);
});

test("its end waits for what is on its way, and not for a broker that is gone", async (t) => {
	const { link, outbox, records, backlog } = await setup(t, await folder(t));
	await outbox.utterance(utterance("a", 0).body);
	await outbox.stop();
	t.is(backlog.length, 1);
	link.online = true;
	await outbox.utterance(utterance("a", 1).body);
	await outbox.stop();
	await outbox.stop();
	t.is(records().length, 2);
});
