import { setImmediate } from "node:timers/promises";
import { ManualClock } from "@wattvox/core";
import type { CounterSource } from "@wattvox/energy";
import {
	type PowerMessage,
	type UtteranceRecord,
	zPowerMessage,
	zUtterance,
} from "@wattvox/link";
import test from "ava";
import fc from "fast-check";
import { PowerReporter } from "./power-reporter.ts";

const VOICES = ["a", "b", "c"].map((c) => c.repeat(64));

/** A device that draws 10 W, whose events and time are moved by hand. */
async function device(online = true) {
	const clock = new ManualClock();
	let ns = 1n;
	const source: CounterSource = {
		kind: "counter",
		ranges: [null],
		describe: () => ({
			...{ sensor: "fake", rails: ["all"], scope: "a test", measured: true },
		}),
		read: async () => ({ atNs: ns, microjoules: [(ns * 10n) / 1000n] }),
		close: async () => undefined,
	};
	const sent: PowerMessage[] = [];
	const told: UtteranceRecord[] = [];
	const kept: PowerMessage[] = [];
	const link = { online };
	let loaded: string | null = null;
	let next = 0;
	const reporter = new PowerReporter({
		...{ device: "d1", deviceClass: "orin-nano", source, clock },
		voice: () => loaded,
		outbox: {
			async power(message) {
				if (link.online) sent.push(...kept.splice(0), message);
				else kept.push(message);
			},
			async utterance(record) {
				told.push(record);
			},
		},
		everyMs: 1e9,
	});
	await reporter.start();
	// every wait in here is a promise of this process: they are through after one turn
	const settled = () => setImmediate();
	return {
		...{ reporter, sent, told, link, settled },
		async pass(seconds: number) {
			await settled();
			ns += BigInt(Math.round(seconds * 1e9));
			await clock.advance(seconds * 1000);
			await settled();
		},
		async load(voice: string | null) {
			loaded = voice;
			reporter.voiceMayHaveChanged();
			await settled();
		},
		/** @param voice another than the loaded one: one that was asked for */
		begin(voice = loaded ?? "") {
			const id = next++;
			reporter.heard({ kind: "begin", id, digest: voice });
			return id;
		},
		end(id: number, audioSeconds: number) {
			reporter.heard({
				...{ kind: "end", id, audioSeconds },
				...{ whole: true, computeMs: 1, firstSoundMs: 1 },
			});
		},
	};
}

/** What a reader has when it takes the highest sequence of each boot. */
function read(messages: readonly PowerMessage[]) {
	const last = new Map<string, PowerMessage>();
	for (const m of messages) {
		const known = last.get(m.boot);
		if (known && known.voice !== m.voice) throw new Error("a boot of two");
		if (!known || m.sequence > known.sequence) last.set(m.boot, m);
	}
	const by = new Map<string | null, { mj: number; speech: number }>();
	for (const m of last.values()) {
		const sums = by.get(m.voice) ?? { mj: 0, speech: 0 };
		sums.mj += m.millijoules ?? 0;
		sums.speech += m.speechMillijoules ?? 0;
		by.set(m.voice, sums);
	}
	return by;
}

test("another voice is another boot: what each drew and said is its own, to the millijoule", async (t) => {
	const d = await device();
	await d.pass(3);
	await d.load(VOICES[0] as string);
	const first = d.begin();
	await d.pass(2);
	// loaded while the other still speaks: its utterance is its own to the end
	await d.load(VOICES[1] as string);
	await d.pass(1);
	d.end(first, 5);
	// the next begins before the books of the first are closed
	const second = d.begin();
	await d.settled();
	await d.pass(4);
	d.end(second, 7);
	await d.settled();
	await d.pass(10);
	d.reporter.report();
	await d.reporter.stop();
	await d.settled();
	const got = read(d.sent);
	t.is(got.size, 3);
	for (const [voice, mj, speech] of [
		[null, 30_000, 0],
		[VOICES[0], 30_000, 30_000],
		[VOICES[1], 140_000, 40_000],
	] as const)
		t.deepEqual(got.get(voice ?? null), { mj, speech });
	const spoken = d.sent.filter((m) => m.utterances > 0);
	for (const [voice, audioSeconds, computeSeconds] of [
		[VOICES[0], 5, 3],
		[VOICES[1], 7, 4],
	] as const)
		t.like(
			spoken.findLast((m) => m.voice === voice),
			{ utterances: 1, audioSeconds, computeSeconds },
		);
	t.true(d.sent.every((m) => zPowerMessage.safeParse(m).success));
	t.true(d.sent.every((m) => m.deviceClass === "orin-nano"));
	t.deepEqual(
		d.told.map((u) => [u.n, u.voice, u.audioSeconds, u.millijoules]),
		[
			[0, VOICES[0], 5, 30_000],
			[0, VOICES[1], 7, 40_000],
		],
	);
	t.true(d.told.every((u) => zUtterance.safeParse(u).success));
	for (const { boot, voice } of d.told)
		t.true(d.sent.some((m) => m.boot === boot && m.voice === voice));
});

test("voices that came and went without a broker are all told when there is one", async (t) => {
	const d = await device(false);
	for (const voice of VOICES) {
		await d.load(voice);
		const id = d.begin();
		await d.pass(2);
		d.end(id, 1);
		await d.settled();
	}
	t.deepEqual(d.sent, []);
	d.link.online = true;
	d.reporter.report();
	await d.settled();
	for (const voice of VOICES)
		t.deepEqual(read(d.sent).get(voice), { mj: 20_000, speech: 20_000 });
	await d.reporter.stop();
});

test("voices that take turns keep a boot each, which counts on", async (t) => {
	const d = await device(false);
	await d.load(VOICES[0] as string);
	for (let turn = 0; turn < 40; turn++) {
		// one that is asked for beside the active one: it is the active one's again afterwards
		const other = d.begin(turn % 2 === 0 ? VOICES[1] : VOICES[2]);
		await d.pass(1);
		d.end(other, 3);
		await d.pass(2);
	}
	d.link.online = true;
	await d.reporter.stop();
	await d.settled();
	const boots = new Set(d.sent.map((m) => m.boot));
	t.is(boots.size, 4, "one without a voice, and one for each voice");
	t.deepEqual(read(d.sent).get(VOICES[0] as string), {
		mj: 800_000,
		speech: 0,
	});
	for (const voice of VOICES.slice(1)) {
		t.deepEqual(read(d.sent).get(voice), { mj: 200_000, speech: 200_000 });
		const spoken = d.sent.filter((m) => m.voice === voice);
		t.is(new Set(spoken.map((m) => m.boot)).size, 1);
		t.like(spoken.at(-1), { utterances: 20, audioSeconds: 60 });
	}
});

test("a speaker that dies leaves its energy booked and its voice as it was", async (t) => {
	const d = await device();
	await d.load(VOICES[0] as string);
	d.begin();
	await d.pass(2);
	d.reporter.heard({ kind: "lost" });
	await d.settled();
	await d.pass(1);
	await d.reporter.stop();
	await d.settled();
	t.deepEqual(read(d.sent).get(VOICES[0] as string), {
		mj: 30_000,
		speech: 20_000,
	});
	t.true(d.sent.every((m) => m.utterances === 0));
	t.deepEqual(d.told, []);
});

test("any order of events, and messages doubled and shuffled: each voice has what it drew", async (t) => {
	const event = fc.oneof(
		fc.record({ do: fc.constant("load"), voice: fc.constantFrom(...VOICES) }),
		fc.record({
			do: fc.constantFrom("speak", "report", "drop", "back"),
			/** Who speaks, where it is not the loaded one. */
			by: fc.option(fc.constantFrom(...VOICES)),
		}),
	);
	await fc.assert(
		fc.asyncProperty(
			fc.array(fc.tuple(event, fc.integer({ min: 0, max: 9 })), {
				maxLength: 30,
			}),
			fc.infiniteStream(fc.nat()),
			async (events, dice) => {
				const d = await device();
				const expected = new Map<string | null, number>();
				let loaded: string | null = null;
				let speaking: string | null = null;
				let open: number | undefined;
				for (const [what, seconds] of events) {
					if ("voice" in what) {
						loaded = what.voice;
						await d.load(loaded);
					} else if (what.do === "report") d.reporter.report();
					else if (what.do === "drop") d.link.online = false;
					else if (what.do === "back") {
						d.link.online = true;
					} else if (open !== undefined) {
						d.end(open, 1);
						open = undefined;
					} else if (loaded !== null) {
						speaking = what.by ?? loaded;
						open = d.begin(speaking);
					}
					if (open === undefined) speaking = loaded;
					await d.settled();
					await d.pass(seconds);
					const mj = (expected.get(speaking) ?? 0) + seconds * 10_000;
					expected.set(speaking, mj);
				}
				d.link.online = true;
				await d.reporter.stop();
				await d.settled();
				const shuffled = [...d.sent, ...d.sent]
					.map((m) => ({ m, key: dice.next().value ?? 0 }))
					.sort((a, b) => a.key - b.key)
					.map(({ m }) => m);
				const got = read(shuffled);
				for (const [voice, mj] of expected)
					t.is(got.get(voice)?.mj ?? 0, mj, String(voice));
				// each utterance once, in its boot's totals, with a share of its boot's joules
				const last = new Map(d.sent.map((m) => [m.boot, m]));
				for (const [boot, m] of last) {
					const mine = d.told.filter((u) => u.boot === boot);
					t.deepEqual(
						mine.map((u) => u.n),
						mine.map((_, n) => n),
					);
					t.is(mine.length, m.utterances);
					const mj = mine.reduce((sum, u) => sum + (u.millijoules ?? 0), 0);
					t.true(mj <= (m.speechMillijoules ?? 0));
				}
			},
		),
		{ numRuns: 60 },
	);
});
