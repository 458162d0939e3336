import { WattvoxError } from "@wattvox/core";
import test from "ava";
import fc from "fast-check";
import { PHONES } from "./phones.ts";
import { toPhones } from "./to-phones.ts";

const say = (text: string) => toPhones(text).phones.join(" ");

test("a sentence starts and ends with a pause, and pauses where it is punctuated", (t) => {
	t.is(say("Hello, world."), "pau hh ax l ow pau w er l d pau");
	t.is(say("Yes (no) maybe"), "pau y eh s pau n ow pau m ey b iy pau");
	t.is(say("Go - stop; wait"), "pau g ow pau s t aa p pau w ey t pau");
	t.is(
		say("'holy' \"words\" well-known"),
		"pau hh ow l iy w er d z w eh l n ow n pau",
	);
});

test("one pause stands between sentences, and each sentence's phones hold both of its own", (t) => {
	const spoken = toPhones("Yes. No! Dr. Lee?");
	t.is(spoken.phones.join(" "), "pau y eh s pau n ow pau d aa k t er l iy pau");
	t.deepEqual(
		spoken.sentences.map((s) => [
			s.text,
			spoken.phones.slice(s.start, s.end).join(" "),
		]),
		[
			["Yes.", "pau y eh s pau"],
			["No!", "pau n ow pau"],
			["Doctor Lee?", "pau d aa k t er l iy pau"],
		],
	);
});

test("articles, letters and 'the' before a vowel", (t) => {
	t.is(say("A dog, a cat"), "pau ax d ao g pau ax k ae t pau");
	t.is(say("plan A"), "pau p l ae n ey pau");
	t.is(say("the apple, the dog"), "pau dh iy ae p ax l pau dh ax d ao g pau");
	t.is(say("the, apple"), "pau dh ax pau ae p ax l pau");
	t.is(say("I am AI"), "pau ay ae m ey ay pau");
});

test("homographs follow their neighbours", (t) => {
	const at = (text: string, word: string) =>
		toPhones(text)
			.words.find((w) => w.text.toLowerCase() === word)
			?.phones.join(" ");
	t.is(at("I will read it", "read"), "r iy d");
	t.is(at("I have read it", "read"), "r eh d");
	t.is(at("They live here", "live"), "l ih v");
	t.is(at("a live show", "live"), "l ay v");
	t.is(at("the wind blows", "wind"), "w ih n d");
	t.is(at("wind up the clock", "wind"), "w ay n d");
	t.is(at("a record", "record"), "r eh k er d");
	t.is(at("to record it", "record"), "r ax k ao r d");
	t.is(at("close the door", "close"), "k l ow z");
	t.is(at("too close", "close"), "k l ow s");
	t.is(at("the use of it", "use"), "y uw s");
	t.is(at("we use it", "use"), "y uw z");
	t.is(at("we used to go", "used"), "y uw s t");
});

test("words in camel case come apart, names do not", (t) => {
	t.deepEqual(
		toPhones("WattVox macOS").words.map((w) => w.text),
		["WattVox", "mac", "OS"],
	);
	t.deepEqual(
		toPhones("McDonald").words.map((w) => w.text),
		["McDonald"],
	);
	t.deepEqual(
		toPhones("PowerShell").words.map((w) => w.text),
		["Power", "Shell"],
	);
});

test("what cannot be said is reported; the rest is spoken", (t) => {
	const spoken = toPhones("Hello 😀 world, 你好.");
	t.is(spoken.phones.join(" "), "pau hh ax l ow w er l d pau");
	t.deepEqual(spoken.skipped, [
		{ text: "😀", index: 6, why: "emoji" },
		{ text: "你好", index: 16, why: "Han script" },
	]);
});

for (const [text, code] of Object.entries({
	"": "E_TEXT_EMPTY",
	"  \n": "E_TEXT_EMPTY",
	"... !?": "E_TEXT_EMPTY",
	"😀🎉": "E_TEXT_UNPRONOUNCEABLE",
	你好世界: "E_TEXT_SCRIPT",
	"Привет, как дела? OK": "E_TEXT_SCRIPT",
	"مرحبا بالعالم": "E_TEXT_SCRIPT",
}))
	test(`${code}: ${JSON.stringify(text)}`, (t) => {
		const error = t.throws(() => toPhones(text), {
			instanceOf: WattvoxError,
			code,
		});
		if (code === "E_TEXT_SCRIPT") t.regex(error?.message ?? "", /script/);
	});

test("words point at their phones, whatever the text", (t) => {
	const known = new Set(PHONES);
	const bits = fc.constantFrom(
		..."Hello world the apple 42 $5.50 GPU Dr. St. e.g. , . ! ? ; — ( ) 😀 你 café it's dogs' 3:45 kWh".split(
			" ",
		),
	);
	fc.assert(
		fc.property(fc.array(bits, { minLength: 1, maxLength: 15 }), (list) => {
			let spoken: ReturnType<typeof toPhones>;
			try {
				spoken = toPhones(list.join(" "));
			} catch (error) {
				t.true(error instanceof WattvoxError && error.code !== "E_BUG");
				return;
			}
			const { phones, words, sentences } = spoken;
			t.is(phones[0], "pau");
			t.is(phones.at(-1), "pau");
			t.false(
				phones.some((p, i) => p === "pau" && phones[i + 1] === "pau"),
				"two pauses in a row",
			);
			t.true(phones.every((p) => known.has(p)));
			for (const w of words)
				t.deepEqual(phones.slice(w.start, w.start + w.phones.length), w.phones);
			const spokenPhones = words.reduce((n, w) => n + w.phones.length, 0);
			t.is(phones.filter((p) => p !== "pau").length, spokenPhones);
			for (const [i, s] of sentences.entries())
				t.is(s.start, i === 0 ? 0 : (sentences[i - 1]?.end ?? 0) - 1);
			t.is(sentences.at(-1)?.end, phones.length);
		}),
		{ numRuns: 200 },
	);
});
