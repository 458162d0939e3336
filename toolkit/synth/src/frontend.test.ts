import test from "ava";
import { languageFrontend } from "./frontend.ts";
import { TINY_SYMBOLS, tinyVoice } from "./testing.ts";
import { Voice } from "./voice.ts";

async function sentences(text: string) {
	const all = [];
	for await (const s of languageFrontend("en")(text)) all.push(s);
	return all;
}

test("English comes sentence by sentence, in symbols a voice has", async (t) => {
	const all = await sentences("Dr. Smith paid $5. Why? Nobody knew!");
	t.deepEqual(
		all.map((s) => s.text),
		["Dr. Smith paid $5.", "Why?", "Nobody knew!"],
	);
	for (const { phones } of all) {
		t.is(phones[0], "pau");
		t.is(phones.at(-1), "pau");
		for (const phone of phones) t.true(TINY_SYMBOLS.includes(phone), phone);
	}
});

test("a sentence that cannot be said is skipped and named; with nothing left it is an error", async (t) => {
	const all = await sentences("Good morning. 你好,世界。 Good night.");
	t.true(all.some((s) => s.skipped.length > 0));
	t.is(all.filter((s) => s.phones.length > 0).length, 2);
	await t.throwsAsync(sentences("你好,世界。"), { code: "E_TEXT_SCRIPT" });
	t.throws(() => languageFrontend("zh-CN"), { code: "E_TEXT_SCRIPT" });
});

test("a voice speaks English without being told how", async (t) => {
	const voice = await Voice.load(tinyVoice());
	const utterance = voice.speak("Good morning. 你好,世界。");
	t.true((await utterance.samples()).length > 1000);
	t.true(utterance.stats.skipped.length > 0);
	await voice.dispose();
});
