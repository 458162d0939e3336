import test from "ava";
import { spellingFrontend, tinyVoice } from "./testing.ts";
import { Voice } from "./voice.ts";

const load = (o = {}) =>
	Voice.load(tinyVoice(o), { frontend: spellingFrontend });
const TEXT = "The quick brown fox jumps over the lazy dog. It was not amused!";

test("speech in chunks equals speech in one piece", async (t) => {
	const voice = await load();
	const whole = await voice.speak(TEXT, { whole: true }).samples();
	const chunked = await voice.speak(TEXT).samples();
	t.is(chunked.length, whole.length);
	const worst = chunked.reduce(
		(m, s, i) => Math.max(m, Math.abs(s - (whole[i] ?? 9))),
		0,
	);
	t.log(`max abs difference ${worst}`);
	t.true(worst < 1e-5);
	t.true(whole.some((s) => Math.abs(s) > 0.05));
	await voice.dispose();
});
