import test from "ava";
import { dictionary } from "cmu-pronouncing-dictionary";
import { choose } from "./choose.ts";
import { random } from "./random.ts";
import { normal, plain, quoted, shingles, unique } from "./sentences.ts";
import { template } from "./templates.ts";
import { HELDOUT, reserved, texts } from "./texts.ts";

test("quotations come from the gloss only", (t) => {
	const line =
		'00001 00 a 01 "able" 0 001 | having power; "able to swim"; "she was able"';
	t.deepEqual(quoted(`  1 licence "text"\n${line}\n`), [
		"able to swim",
		"she was able",
	]);
});

test("plain sentences are finished, others are left out", (t) => {
	const text = (s: string) => plain(s, dictionary)?.text;
	t.is(text("the cat sat on the mat"), "The cat sat on the mat.");
	t.is(text("where is the cat now?"), "Where is the cat now?");
	t.is(text("She said, 'no' to the man"), undefined);
	t.is(text("he can't find the old key"), undefined);
	t.is(text("too short now"), undefined);
	t.is(text("the year 1984 was very long"), undefined);
	t.is(text("the USA won the game today"), undefined);
	t.is(text("the zzyzxian cat sat down here"), undefined);
	t.is(text("a murder in the old house"), undefined);
	t.is(text(`${"very ".repeat(15)}long line`), undefined);
});

test("the same words are the same sentence", (t) => {
	const s = (text: string) => ({ text, phones: [] });
	t.is(normal("Well,  She's HERE!"), "well she's here");
	t.is(unique([s("A b, c."), s("a b c"), s("A b d.")]).length, 2);
	t.deepEqual(shingles("One two, three four five."), [
		"one two three four",
		"two three four five",
	]);
});

test("greedy choice prefers what was not heard", (t) => {
	const s = (phones: string) => ({ text: phones, phones: phones.split(" ") });
	const pool = [s("a b a b"), s("a b a b"), s("c d e f"), s("a b c d")];
	const chosen = choose(pool, 2);
	t.is(chosen[0], pool[0], "a tie goes to the earlier");
	t.is(chosen[1], pool[2]);
	t.is(choose(pool, 9).length, 4);
});

test("lazy greedy equals plain greedy", (t) => {
	const next = random(3);
	const pool = Array.from({ length: 60 }, (_, i) => ({
		text: `${i}`,
		phones: Array.from(
			{ length: 3 + Math.floor(next() * 6) },
			() => "abcdefg"[Math.floor(next() * 7)] as string,
		),
	}));
	const heard = new Map<string, number>();
	const left = new Set(pool);
	const expected = [];
	while (expected.length < 25) {
		let best: (typeof pool)[number] | undefined;
		let top = -1;
		for (const s of left) {
			let gain = 0;
			s.phones.forEach((p, i) => {
				gain += 1 / (1 + (heard.get(`${s.phones[i - 1] ?? "pau"} ${p}`) ?? 0));
			});
			gain /= s.phones.length ** 0.9;
			if (gain > top + 1e-12) [best, top] = [s, gain];
		}
		if (!best) break;
		left.delete(best);
		expected.push(best);
		best.phones.forEach((p, i) => {
			const pair = `${best.phones[i - 1] ?? "pau"} ${p}`;
			heard.set(pair, (heard.get(pair) ?? 0) + 1);
		});
	}
	t.deepEqual(
		choose(pool, 25).map((s) => s.text),
		expected.map((s) => s.text),
	);
});

test("templates use words of the dictionary", (t) => {
	const next = random(1);
	const made = Array.from({ length: 300 }, () => template(dictionary, next));
	t.true(made.filter(Boolean).length > 290);
	t.true(made.some((s) => s?.text.endsWith("?")));
	t.false(made.some((s) => s?.text.includes("{")));
});

test("training text covers every phone and shares nothing with held-out text", (t) => {
	const { train, heldout } = texts(1500, 1);
	t.is(train.length, 1500);
	t.is(heldout.length, HELDOUT);
	t.is(unique(train).length, 1500);
	const runs = new Set(train.flatMap((s) => shingles(s.text)));
	for (const text of [...heldout.map((s) => s.text), ...reserved()]) {
		t.false(
			shingles(text).some((run) => runs.has(run)),
			text,
		);
	}
	t.is(new Set(train.flatMap((s) => s.phones)).size, 40);
	t.deepEqual(texts(0, 99).heldout, heldout);
	t.true(train.filter((s) => s.text.endsWith("?")).length > 60);
});
