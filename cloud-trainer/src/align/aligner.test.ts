import test from "ava";
import { alignTranscript } from "./aligner.ts";
import { transcriptTokens } from "./transcript.ts";

const SYMBOLS = ["_", "pau", "aa", "b", "s"];
const words = (text: string) =>
	text.split(" ").map((w) => ({
		text: w,
		phones: [...w].map((c) => ({ a: "aa", b: "b", s: "s" })[c] ?? c),
	}));

/** Three frames of each phone of a text, with a pause between words. */
function heard(text: string): { logp: Float32Array; frames: number } {
	const list = [
		1,
		...words(text).flatMap((w) => [
			...w.phones.map((p) => SYMBOLS.indexOf(p)),
			1,
		]),
	];
	const frames = list.length * 3;
	const logp = new Float32Array(frames * SYMBOLS.length).fill(-8);
	list.forEach((s, i) => {
		for (let k = 0; k < 3; k++) logp[(i * 3 + k) * SYMBOLS.length + s] = -0.05;
	});
	return { logp, frames };
}

test("a transcript that fits gives each word its place", (t) => {
	const { logp, frames } = heard("ab sa b");
	const a = alignTranscript(
		logp,
		frames,
		SYMBOLS.length,
		transcriptTokens(words("ab sa b"), SYMBOLS),
		0.01,
	);
	t.deepEqual(
		a.words.map((w) => [w.text, w.startFrame, w.endFrame]),
		[
			["ab", 3, 9],
			["sa", 12, 18],
			["b", 21, 24],
		],
	);
	t.true(a.score > -0.1);
});

test("a transcript of something else is refused, and the place is named", (t) => {
	const { logp, frames } = heard("ab sa ab ab ab ab ab ab ab sa");
	const wrong = transcriptTokens(
		words("ab sa ss ss ss ss ss ss ss sa"),
		SYMBOLS,
	);
	const error = t.throws(
		() => alignTranscript(logp, frames, SYMBOLS.length, wrong, 0.01),
		{ code: "E_ALIGN" } as never,
	);
	t.regex(error?.message ?? "", /from 0:00\.\d to 0:00\.\d at "ss ss/);
});

test("a transcript longer than the recording is refused", (t) => {
	const { logp, frames } = heard("a");
	const long = transcriptTokens(words("abababababab"), SYMBOLS);
	t.throws(() => alignTranscript(logp, frames, SYMBOLS.length, long, 0.01), {
		code: "E_ALIGN",
	} as never);
});

test("phones that the base lacks and empty transcripts are refused", (t) => {
	t.throws(() => transcriptTokens([{ text: "x", phones: ["zz"] }], SYMBOLS), {
		code: "E_TEXT_SCRIPT",
	} as never);
	t.throws(() => transcriptTokens([], SYMBOLS), {
		code: "E_TEXT_EMPTY",
	} as never);
});
