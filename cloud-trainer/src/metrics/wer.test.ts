import test from "ava";
import fc from "fast-check";
import { corpusWer, plainWords, werRatio, wordErrors } from "./wer.ts";

const words = fc.array(fc.constantFrom("a", "b", "c", "d"), { maxLength: 8 });

test("known alignments", (t) => {
	const e = (a: string, b: string) => wordErrors(plainWords(a), plainWords(b));
	t.deepEqual(e("the cat sat down", "the cat sat down"), {
		words: 4,
		substitutions: 0,
		deletions: 0,
		insertions: 0,
		errors: 0,
	});
	t.like(e("the cat sat down", "the hat sat"), {
		substitutions: 1,
		deletions: 1,
		insertions: 0,
		errors: 2,
	});
	t.like(e("a moral train", "a more a train"), {
		substitutions: 1,
		insertions: 1,
		errors: 2,
	});
	t.like(e("", "two words"), { words: 0, insertions: 2 });
	t.like(e("two words", ""), { deletions: 2, errors: 2 });
});

test("errors are a metric on word lists and add up", (t) => {
	fc.assert(
		fc.property(words, words, words, (a, b, c) => {
			const ab = wordErrors(a, b);
			const ba = wordErrors(b, a);
			t.is(ab.errors, ab.substitutions + ab.deletions + ab.insertions);
			t.is(ab.errors, ba.errors);
			t.is(ab.insertions - ab.deletions, b.length - a.length);
			t.true(ab.errors <= Math.max(a.length, b.length));
			t.is(ab.errors === 0, a.join() === b.join());
			t.true(ab.errors <= wordErrors(a, c).errors + wordErrors(c, b).errors);
		}),
	);
});

test("words: case and punctuation go, inner apostrophes stay", (t) => {
	t.deepEqual(plainWords("“Don’t”, she said - it's 'OK'; well-known."), [
		"don't",
		"she",
		"said",
		"it's",
		"ok",
		"well",
		"known",
	]);
});

test("corpus WER weighs by words, not by sentences", (t) => {
	const scores = [
		wordErrors(["a"], ["b"]),
		wordErrors(Array(9).fill("a"), Array(9).fill("a")),
	];
	const w = corpusWer(scores);
	t.is(w.value, 0.1);
	t.true(w.low <= 0.1 && w.high >= 0.1);
	t.true(Number.isNaN(corpusWer([]).value));
});

test("a ratio pairs sentences", (t) => {
	const bad = [1, 2, 3, 4, 5, 6].map((n) =>
		wordErrors(Array(6).fill("a"), Array(6).fill("a").fill("b", 0, n)),
	);
	const r = werRatio(bad, bad);
	t.deepEqual(r, { value: 1, low: 1, high: 1 });
	t.throws(() => werRatio(bad, bad.slice(1)), { instanceOf: RangeError });
});
