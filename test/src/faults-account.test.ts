import { FIRST_WINDOW } from "@wattvox/link";
import test from "ava";
import { account, windowAfter } from "./faults-account.ts";
import type { DeviceEvent, StoreEvent } from "./faults-journal.ts";

const ask = (pull: string, ...blocks: number[]): DeviceEvent => ({
	...{ is: "ask", pull, kind: "blob", file: "a", blocks },
});
const kept = (...blocks: number[]): DeviceEvent => ({
	...{ is: "kept", file: "a", blocks },
});
const again = (pull: string, blocks: number): DeviceEvent => ({
	...{ is: "again", pull, blocks, why: "lost" },
});
const sent = (block: number, damaged = false): StoreEvent => ({
	...{ is: "sent", kind: "blob", file: "a", block, bytes: 10, damaged },
	refused: false,
});
const start: DeviceEvent = { is: "start" };
const gone: DeviceEvent = { is: "gone", file: "a" };
const wish: DeviceEvent = { is: "wish", bundle: "voice" };
const rot = (block: number): DeviceEvent => ({ is: "rot", file: "a", block });

const judge = (device: DeviceEvent[], store: StoreEvent[] = []) =>
	account(device, store, new Map([["voice", new Set(["a"])]]));

test("what was asked for once and sent once is needed", (t) => {
	const found = judge([start, ask("p", 0, 1), kept(0, 1)], [sent(0), sent(1)]);
	t.deepEqual(found, {
		...{ asked: 2, needed: 2, again: {}, sent: 2, sentBytes: 20, damaged: 0 },
		violations: [],
	});
});

test("each block that is asked for again has its cause", (t) => {
	const killed = judge([ask("p", 0, 1), kept(0), start, ask("q", 1)]);
	t.deepEqual(killed.again, { killed: 1 });
	const ended = judge([start, ask("p", 0, 1), kept(0), ask("q", 1)]);
	t.deepEqual(ended.again, { "broken off": 1 });
	const lost = judge([start, ask("p", 0, 1), again("p", 2), ask("p", 0, 1)]);
	t.deepEqual(lost.again, { lost: 2 });
	const spoilt = judge([start, ask("p", 0), kept(0), rot(0), ask("q", 0)]);
	t.deepEqual(spoilt.again, { spoilt: 1 });
	for (const found of [killed, ended, lost, spoilt]) {
		t.deepEqual(found.violations, []);
		const repeats = Object.values(found.again).reduce((sum, n) => sum + n, 0);
		t.is(found.asked, found.needed + repeats);
	}
});

test("a file that was spoilt comes again whole; one that is not wished for may go", (t) => {
	const rotten = [start, wish, ask("p", 0, 1), kept(0, 1), rot(1), gone];
	const spoilt = judge([...rotten, ask("q", 0, 1), kept(0, 1)]);
	t.deepEqual(spoilt.violations, []);
	t.deepEqual(spoilt.again, { spoilt: 2 });
	const other: DeviceEvent = { is: "wish", bundle: "other" };
	const left = judge([start, ask("p", 0), kept(0), other, gone, ask("q", 0)]);
	t.deepEqual(left.violations, []);
	t.is(left.needed, 2);
});

test("what is not explained is found", (t) => {
	const cases: [DeviceEvent[], StoreEvent[], RegExp][] = [
		[[ask("p", 0), kept(0), start, ask("q", 0)], [], /is on the disk/],
		[[ask("p", 0), ask("p", 0)], [], /nobody said why/],
		[
			[ask("p", 0, 1), again("p", 1), ask("p", 0, 1)],
			[],
			/block 1 .* nobody said why/,
		],
		[[wish, ask("p", 0), kept(0), gone], [], /is removed and is wished for/],
		[[ask("p", 0)], [sent(0), sent(0)], /was not asked for/],
		[[], [sent(0)], /was not asked for/],
		[
			[
				ask("p", 0),
				{ ...again("p", 1), why: "damaged" } as DeviceEvent,
				ask("p", 0),
			],
			[sent(0), sent(0)],
			/calls 1 blocks damaged, and 0 were/,
		],
		[
			[ask("p", ...Array.from({ length: FIRST_WINDOW + 1 }, (_, i) => i))],
			[],
			/beside a window of 32/,
		],
	];
	for (const [device, store, why] of cases) {
		const { violations } = judge([start, ...device], store);
		t.is(violations.length, 1, String(why));
		t.regex(violations[0] ?? "", why);
	}
	const excused = [
		ask("p", 0),
		{ ...again("p", 1), why: "damaged" },
		ask("p", 0),
	];
	const fine = judge(excused as DeviceEvent[], [sent(0, true), sent(0)]);
	t.deepEqual(fine.violations, []);
});

test("a window doubles when as many blocks came", (t) => {
	const at = [0, 31, 32, 95, 96, 223, 224, 10_000];
	t.deepEqual(at.map(windowAfter), [32, 32, 64, 64, 128, 128, 256, 256]);
});
