import { statSync } from "node:fs";
import test from "ava";
import fc from "fast-check";
import { LETTER_TO_SOUND_FILE, LetterToSound } from "./letter-to-sound.ts";
import { PHONES } from "./phones.ts";
import { Pronouncer, type Source } from "./pronounce.ts";

const pronouncer = Pronouncer.open();

const TABLE: Record<string, readonly [string, Source]> = {
	hello: ["hh ax l ow", "lexicon"],
	Hello: ["hh ax l ow", "lexicon"],
	about: ["ax b aw t", "lexicon"],
	"don't": ["d ow n t", "lexicon"],
	bird: ["b er d", "lexicon"],
	// abbreviations
	GPU: ["jh iy p iy y uw", "letters"],
	GPUs: ["jh iy p iy y uw z", "letters"],
	US: ["y uw eh s", "letters"],
	us: ["ah s", "lexicon"],
	IT: ["ay t iy", "letters"],
	it: ["ih t", "lexicon"],
	NASA: ["n ae s ax", "lexicon"],
	"NASA's": ["n ae s ax z", "lexicon"],
	UP: ["ah p", "lexicon"],
	MQTT: ["eh m k y uw t iy t iy", "letters"],
	ONNX: ["aa n ih k s", "lexicon"],
	W: ["d ah b ax l y uw", "lexicon"],
	// parts
	"wattvox's": ["w aa t v aa k s ih z", "affix"],
	"jetson's": ["jh eh t s ax n z", "affix"],
	vloggers: ["v l aa g er z", "affix"],
	googler: ["g uw g ax l er", "affix"],
	vlogging: ["v l aa g ih ng", "affix"],
	unhackable: ["ax n hh ae k ax b ax l", "affix"],
	smartwatch: ["s m aa r t w aa ch", "compound"],
	hashtags: ["hh ae sh t ae g z", "affix"],
};

for (const [word, [phones, source]] of Object.entries(TABLE))
	test(`${word} is ${phones} (${source})`, (t) => {
		t.deepEqual(pronouncer.word(word), { phones: phones.split(" "), source });
	});

test("shouted words are words, not abbreviations", (t) => {
	t.deepEqual(
		pronouncer.word("HELP", true).phones,
		pronouncer.word("help").phones,
	);
	t.deepEqual(pronouncer.word("IT", true).phones, ["ih", "t"]);
});

test("unknown words are guessed from their letters", (t) => {
	const table: Record<string, string> = {
		blick: "b l ih k",
		flimp: "f l ih m p",
		snorg: "s n ao r g",
		zebrafish: "z iy b r ax f ih sh",
		quixotry: "k w ih k s aa t r iy",
	};
	for (const [word, phones] of Object.entries(table))
		t.is(pronouncer.word(word).phones.join(" "), phones, word);
});

test("any letters give phones of the set", (t) => {
	const known = new Set(PHONES);
	const letters = fc.string({
		unit: fc.constantFrom(..."abcdefghijklmnopqrstuvwxyzABCXYZ'"),
		minLength: 1,
		maxLength: 20,
	});
	fc.assert(
		fc.property(letters, (word) => {
			const { phones } = pronouncer.word(word);
			if (/[a-z]/i.test(word)) t.true(phones.length > 0, word);
			t.true(phones.every((p) => known.has(p) && p !== "pau"));
		}),
		{ numRuns: 300 },
	);
});

test("the letter-to-sound model is small, and other bytes are refused", (t) => {
	t.true(statSync(LETTER_TO_SOUND_FILE).size <= 1.5e6);
	t.throws(() => new LetterToSound(new Uint8Array(100)), {
		code: "E_FILE_FORMAT",
	});
	t.throws(() => LetterToSound.open("/nonexistent/model"), {
		code: "E_FILE_MISSING",
	});
	t.deepEqual(LetterToSound.open().phones(""), []);
});
