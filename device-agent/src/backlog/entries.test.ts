import test from "ava";
import fc from "fast-check";
import { reading, utterance } from "./_entries.test.ts";
import { BOOTS_KEPT, type Entry, supersedes, thinnable } from "./entries.ts";

test("a reading replaces an older one of its boot and minute, and nothing else", (t) => {
	const old = reading("a", 4, 7);
	t.true(supersedes(reading("a", 5, 7), old));
	t.false(supersedes(reading("a", 5, 8), old));
	t.false(supersedes(reading("a", 3, 7), old));
	t.false(supersedes(reading("b", 5, 7), old));
	t.false(supersedes(utterance("a", 5), old));
});

test("thinning takes detail from the older half and leaves each boot its last reading", (t) => {
	const boot = fc.constantFrom("a", "b", "c");
	const kind = fc.constantFrom(reading, utterance);
	fc.assert(
		fc.property(fc.array(fc.tuple(kind, boot), { maxLength: 40 }), (made) => {
			const entries: Entry[] = made.map(([make, name], i) => make(name, i));
			const { gone, lost } = thinnable(entries);
			const left = entries.filter((e) => !gone.has(e));
			const last = (of: readonly Entry[]) => {
				const found = new Map<string, number>();
				for (const { stream, body } of of)
					if (stream === "power") found.set(body.boot, body.sequence);
				return new Map([...found].sort());
			};
			t.deepEqual(last(left), last(entries));
			t.is(lost.utterances + lost.readings, gone.size);
			t.is(lost.boots, 0);
			// of two entries that may go, the newer never goes while the older half has some left
			const free = entries.filter(
				(e) =>
					e.stream === "utterance" ||
					last(entries).get(e.body.boot) !== e.body.sequence,
			);
			t.is(gone.size === 0, free.length === 0);
			const newest = free.slice(Math.ceil(free.length / 2));
			t.true(newest.every((e) => !gone.has(e)));
		}),
	);
});

test("of too many boots the oldest go whole, and each is counted", (t) => {
	const entries = Array.from({ length: BOOTS_KEPT + 3 }, (_, b) => [
		reading(`boot${b}`, 0),
		reading(`boot${b}`, 1),
	]).flat();
	const { gone, lost } = thinnable(entries);
	t.is(lost.boots, 3);
	for (const entry of entries.slice(0, 6)) t.true(gone.has(entry));
	const left = entries.filter((e) => !gone.has(e));
	t.is(new Set(left.map((e) => e.body.boot)).size, BOOTS_KEPT);
});
