import test from "ava";
import { parseEvents } from "./espeak.ts";
import { spread } from "./espeak-phones.ts";
import {
	HELDOUT_VARIANTS,
	pitchSetting,
	TRAIN_VARIANTS,
} from "./espeak-voices.ts";

test("events become phones with ends, and a pause at each end", (t) => {
	const { sampleRate, phones } = parseEvents(
		"1000 900\n100 h\n200 O@\n500 t#\n600 @L\n700 _:\n",
	);
	t.is(sampleRate, 1000);
	t.deepEqual(
		phones.map(([p, e]) => [p, Math.round(e * 1000)]),
		[
			["pau", 100],
			["hh", 200],
			["ao", 395],
			["r", 500],
			["t", 600],
			["ax", 640],
			["l", 700],
			["pau", 900],
		],
	);
});

test("a glide without a phone of its own lengthens the one before", (t) => {
	t.deepEqual(
		spread(
			[
				["i", 0.1],
				[";", 0.2],
				["V", 0.3],
			],
			0.4,
		),
		[
			["pau", 0.1],
			["iy", 0.3],
			["ah", 0.4],
			["pau", 0.4],
		],
	);
});

test("British vowels have no r", (t) => {
	const phones = (british: boolean) =>
		spread([["A@", 0]], 0.2, british).map(([p]) => p);
	t.deepEqual(phones(true), ["pau", "aa", "pau"]);
	t.deepEqual(phones(false), ["pau", "aa", "r", "pau"]);
});

test("an unknown sound and an empty answer are refused", (t) => {
	t.throws(() => spread([["Q!", 0]], 1), { code: "E_FILE_FORMAT" });
	t.throws(() => parseEvents("22050 0\n"), { code: "E_FILE_FORMAT" });
});

test("pitch settings meet the measured points and rise with pitch", (t) => {
	const range = [70, 100, 170] as const;
	t.is(pitchSetting(range, 70), 0);
	t.is(pitchSetting(range, 100), 50);
	t.is(pitchSetting(range, 170), 99);
	t.is(pitchSetting(range, 20), 0);
	t.is(pitchSetting(range, 500), 99);
	let before = -1;
	for (let hz = 70; hz <= 170; hz += 5) {
		const now = pitchSetting(range, hz);
		t.true(now >= before);
		before = now;
	}
});

test("held-out variants are in no training speaker, nor is the target's", (t) => {
	for (const name of [...Object.keys(HELDOUT_VARIANTS), "f4"]) {
		t.false(name in TRAIN_VARIANTS, name);
	}
	t.false("f4" in HELDOUT_VARIANTS);
});
