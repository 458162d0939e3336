import { readFileSync } from "node:fs";
import test from "ava";
import fc from "fast-check";
import { LEXICON_FILE, Lexicon } from "./lexicon.ts";
import { PHONES } from "./phones.ts";

const lines = readFileSync(LEXICON_FILE, "latin1").trimEnd().split("\n");

test("the shipped file is sorted and uses our phones alone", (t) => {
	const known = new Set(PHONES);
	let last = "";
	let bad = 0;
	for (const line of lines) {
		const [word = "", ...phones] = line.split(" ");
		if (
			!(word > last) ||
			phones.length === 0 ||
			phones.some((p) => !known.has(p) || p === "pau")
		)
			bad++;
		last = word;
	}
	t.is(bad, 0);
	t.true(lines.length > 120_000);
});

test("finds every word it holds: the first, the last and any other", (t) => {
	const lexicon = Lexicon.open();
	const at = fc.nat({ max: lines.length - 1 });
	fc.assert(
		fc.property(
			fc.oneof(at, fc.constantFrom(0, 1, lines.length - 2, lines.length - 1)),
			(i) => {
				const [word = "", ...phones] = (lines[i] as string).split(" ");
				t.deepEqual(lexicon.lookup(word), phones);
			},
		),
		{ numRuns: 500 },
	);
});

test("does not find what it does not hold", (t) => {
	const lexicon = Lexicon.open();
	for (const word of [
		"",
		"aaaaaaaa",
		"zzzzzz",
		"hell o",
		"hel",
		"~",
		"\n",
		"hello hh",
	])
		t.is(lexicon.lookup(word), undefined, JSON.stringify(word));
	t.true(lexicon.has("hello"));
	t.deepEqual(lexicon.lookup("hello"), ["hh", "ax", "l", "ow"]);
	t.is(new Lexicon(new Uint8Array(0)).lookup("a"), undefined);
});

test("a missing file is told", (t) => {
	t.throws(() => Lexicon.open("/nonexistent/lexicon"), {
		code: "E_FILE_MISSING",
	});
});
