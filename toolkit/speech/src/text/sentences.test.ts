import test from "ava";
import fc from "fast-check";
import { splitSentences } from "./sentences.ts";

const TABLE: Record<string, string[]> = {
	"One. Two! Three? Four": ["One.", "Two!", "Three?", "Four"],
	"Dr. Smith met Mr. Jones. They spoke.": [
		"Dr. Smith met Mr. Jones.",
		"They spoke.",
	],
	"It cost 3.50 dollars. Cheap.": ["It cost 3.50 dollars.", "Cheap."],
	"He lives in the U.S. He likes it.": ["He lives in the U.S.", "He likes it."],
	"The U.S. Army left.": ["The U.S. Army left."],
	"J. K. Rowling wrote. I read.": ["J. K. Rowling wrote.", "I read."],
	"We chose plan B. Then we left.": ["We chose plan B.", "Then we left."],
	"Cats, dogs, etc. They eat.": ["Cats, dogs, etc.", "They eat."],
	"Cats, dogs, etc. and birds.": ["Cats, dogs, etc. and birds."],
	"At 5 p.m. we left. At 6 p.m. The sun set.": [
		"At 5 p.m. we left.",
		"At 6 p.m.",
		"The sun set.",
	],
	"See No. 5. It is here.": ["See No. 5.", "It is here."],
	"“Stop!” he cried. She did.": ["“Stop!” he cried.", "She did."],
	"He said: “Go.” She went.": ["He said: “Go.”", "She went."],
	"Wait... what? Yes.": ["Wait... what?", "Yes."],
	"Wait... Then go.": ["Wait...", "Then go."],
	"Yahoo! is a firm.": ["Yahoo! is a firm."],
	"See example.com now. Bye.": ["See example.com now.", "Bye."],
	"A wrapped\nline goes on.\nAnd ends.": [
		"A wrapped line goes on.",
		"And ends.",
	],
	"First line\nSecond line\nThird line": [
		"First line",
		"Second line",
		"Third line",
	],
	"- milk\n- eggs": ["- milk", "- eggs"],
	"A title\n\nand a paragraph": ["A title", "and a paragraph"],
	"Hello. ... !": ["Hello. ... !"],
	"... Hello.": ["... Hello."],
	"": [],
	"   \n ": [],
	"Version 2.0.1 is out! Get it.": ["Version 2.0.1 is out!", "Get it."],
};

for (const [text, want] of Object.entries(TABLE))
	test(JSON.stringify(text), (t) => t.deepEqual(splitSentences(text), want));

test("long sentences are parted at commas or spaces", (t) => {
	const clause = "and the river ran on through the valley to the sea, ";
	const parts = splitSentences(clause.repeat(20));
	t.true(parts.length > 2);
	for (const p of parts) {
		t.true(p.length <= 320);
		t.true(p.endsWith(","));
	}
	for (const p of splitSentences("word ".repeat(300)))
		t.true(p.length <= 320 && /^word( word)*$/.test(p));
	for (const p of splitSentences("x".repeat(1000))) t.true(p.length <= 320);
});

test("nothing is lost but space", (t) => {
	const bits = fc.constantFrom(
		"Dr",
		"a",
		"B",
		"cat",
		"5",
		".",
		"!",
		"?",
		"...",
		" ",
		" ",
		"\n",
		"\n\n",
		"“",
		"”",
		",",
		"(",
		")",
		"etc.",
	);
	fc.assert(
		fc.property(fc.array(bits, { maxLength: 40 }), (list) => {
			const text = list.join("");
			t.is(
				splitSentences(text).join("").replace(/\s/g, ""),
				text.replace(/\s/g, ""),
			);
		}),
		{ numRuns: 500 },
	);
});
