import test from "ava";
import fc from "fast-check";
import { screen } from "./script.ts";

test("what English cannot say is reported with its place and reason", (t) => {
	const text = "Hi 😀 there 你好, Привет and 👩‍👩‍👧 — ok ☃ ə";
	const { skipped } = screen(text);
	for (const s of skipped)
		t.is(text.slice(s.index, s.index + s.text.length), s.text);
	t.deepEqual(
		skipped.map((s) => [s.text, s.why]),
		[
			["😀", "emoji"],
			["你好", "Han script"],
			["Привет", "Cyrillic script"],
			["👩", "emoji"],
			["👩", "emoji"],
			["👧", "emoji"],
			["☃", "emoji"],
			["ə", "letter that English does not use"],
		],
	);
});

test("accents, ligatures, full width and quotes are read, and nothing is reported", (t) => {
	const { text, skipped } = screen(
		"Ça va, Zoë? ﬁne Ｗide “quoted” ‘it’s’ Straße Æsir ½ €5 20°C µm",
	);
	t.deepEqual(skipped, []);
	t.is(
		text,
		"Ca va, Zoe? fine Wide \"quoted\" 'it's' Strasse AEsir ½ €5 20°C μm",
	);
});

test("decomposed accents are the same as composed ones", (t) => {
	t.is(screen("Zoe\u0308").text, "Zoe");
	t.deepEqual(screen("Zoe\u0308").skipped, []);
});

test("Greek: a letter has a name, a word is a foreign script", (t) => {
	t.deepEqual(screen("the angle θ").skipped, []);
	t.deepEqual(
		screen("λόγος").skipped.map((s) => s.why),
		["Greek script"],
	);
});

test("faces made of punctuation are reported; a list's colon and bracket are not faces", (t) => {
	const { text, skipped } = screen("Good :-) so (see: this) <3 ;) 5:3");
	t.deepEqual(
		skipped.map((s) => [s.text, s.why]),
		[
			[":-)", "emoticon"],
			["<3", "emoticon"],
			[";)", "emoticon"],
		],
	);
	t.is(text.replace(/\s+/g, " "), "Good so (see: this) 5:3");
});

test("plain ASCII passes through, and every skipped piece is where it says", (t) => {
	fc.assert(
		fc.property(
			fc.string({
				unit: fc
					.integer({ min: 32, max: 126 })
					.map((c) => String.fromCharCode(c)),
			}),
			(s) => {
				fc.pre(!/[:;^xX<-]/.test(s));
				t.is(screen(s).text, s.replaceAll("`", "'"));
				t.deepEqual(screen(s).skipped, []);
			},
		),
	);
	fc.assert(
		fc.property(fc.string({ unit: "grapheme" }), (s) => {
			for (const { text, index } of screen(s).skipped)
				t.is(s.slice(index, index + text.length), text);
		}),
	);
});
