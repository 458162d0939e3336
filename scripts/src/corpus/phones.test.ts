import test from "ava";
import fc from "fast-check";
import { fromCmu, PHONES, toSamples } from "./phones.ts";

test("CMUdict symbols become the phone set's", (t) => {
	t.deepEqual(fromCmu("AH0 B AW1 T"), ["ax", "b", "aw", "t"]);
	t.deepEqual(fromCmu("S AH1 P ER0"), ["s", "ah", "p", "er"]);
});

test("ends are scaled, and the last is the number of samples", (t) => {
	const ends = [
		["pau", 0.1],
		["hh", 0.2],
		["ay", 0.4],
	] as const;
	t.deepEqual(toSamples(ends, 0.5, 16000, 3210), [
		["pau", 800],
		["hh", 1600],
		["ay", 3210],
	]);
});

test("a phone without a sample goes, neighbouring pauses join", (t) => {
	const ends = [
		["pau", 0.1],
		["pau", 0.2],
		["t", 0.2],
		["ay", 0.3],
		["pau", 0.4],
	] as const;
	t.deepEqual(toSamples(ends, 1, 1000, 400), [
		["pau", 200],
		["ay", 300],
		["pau", 400],
	]);
});

test("an unknown phone is refused", (t) => {
	t.throws(() => toSamples([["qq", 1]], 1, 16000, 10), { code: "E_BUG" });
});

test("ends always rise and finish at the last sample", (t) => {
	const steps = fc.array(
		fc.tuple(
			fc.constantFrom(...PHONES),
			fc.double({ min: 0, max: 0.5, noNaN: true }),
		),
		{ minLength: 1, maxLength: 30 },
	);
	fc.assert(
		fc.property(
			steps,
			fc.double({ min: 0.5, max: 2, noNaN: true }),
			fc.integer({ min: 1, max: 100000 }),
			(list, scale, samples) => {
				let at = 0;
				const ends = list.map(([p, d]): [string, number] => {
					at += d;
					return [p, at];
				});
				const got = toSamples(ends, scale, 16000, samples);
				let from = 0;
				for (const [, end] of got) {
					if (end <= from) return false;
					from = end;
				}
				return from === samples;
			},
		),
	);
	t.pass();
});
