import test from "ava";
import { listen, spokenWords } from "./utterance.ts";

test("transcripts are compared as they are spoken", (t) => {
	t.deepEqual(spokenWords("Dr. Smith paid $5 for 21 eggs, didn't he?"), [
		..."doctor smith paid five dollars for twenty one eggs didn't he".split(
			" ",
		),
	]);
});

test("only what is asked is listened for", async (t) => {
	const samples = Float32Array.from({ length: 16000 }, (_, i) =>
		Math.sin((2 * Math.PI * 120 * i) / 16000),
	);
	const clip = { name: "a", text: "Hum.", samples };
	const [plain] = await listen([clip], { words: false, pitch: false });
	t.is(plain?.seconds, 1);
	t.is(plain?.key, "hum");
	t.is(plain?.hz.length, 0);
	t.true((plain?.cepstra.frames ?? 0) > 70);
	t.false("words" in (plain ?? {}) || "embedding" in (plain ?? {}));
	const [more] = await listen([clip], {
		words: false,
		pitch: true,
		encoder: {
			embed: async (mel) => Float32Array.of(mel.length / 80),
			dispose: async () => {},
		},
	});
	t.true(Math.abs((more?.hz[20] ?? 0) - 120) < 1);
	t.deepEqual(more?.embedding, Float32Array.of(80));
});
