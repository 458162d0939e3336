import { systemClock } from "@wattvox/core";
import { BASE_MEL } from "@wattvox/speech";
import test from "ava";
import {
	checkGolden,
	GOLDEN_LIMITS,
	makeGolden,
	parseGolden,
} from "./golden.ts";
import { spellingFrontend, tinyVoice } from "./testing.ts";
import { Voice } from "./voice.ts";

const SENTENCES = ["All is well.", "The voice is as it was."];
// A tiny voice on a busy machine is no measure of speed.
const LIMITS = { ...GOLDEN_LIMITS, realTimeFactor: 100 };
const load = (seed: number) =>
	Voice.load(tinyVoice({ seed }), { frontend: spellingFrontend });

test("a voice passes its own golden sentences, also from the file", async (t) => {
	const voice = await load(1);
	const golden = await makeGolden(voice, SENTENCES, BASE_MEL);
	const read = parseGolden(Buffer.from(JSON.stringify(golden)));
	t.deepEqual(read, golden);
	const result = await checkGolden(voice, read, LIMITS);
	t.true(result.passed);
	t.deepEqual(result.problems, []);
	t.true(result.melDistance < 0.03, `${result.melDistance}`);
	t.true(result.realTimeFactor > 0 && result.firstSoundMs > 0);
	await voice.dispose();
});

test("another voice fails them and the result says why", async (t) => {
	const [voice, other] = [await load(1), await load(2)];
	const golden = await makeGolden(voice, SENTENCES, BASE_MEL);
	const result = await checkGolden(other, golden, LIMITS);
	t.false(result.passed);
	t.regex(result.problems.join("; "), /sounds different/);
	t.regex(result.problems.join("; "), /frames instead of/);
	const slow = await checkGolden(voice, golden, {
		...LIMITS,
		realTimeFactor: 0,
		firstSoundMs: 0,
	});
	t.regex(slow.problems.join("; "), /real-time factor .*first sound/s);
	await voice.dispose();
	await other.dispose();
});

test("underruns are counted as a player would have had them", async (t) => {
	const voice = await load(1);
	const golden = await makeGolden(voice, SENTENCES, BASE_MEL);
	const count = (stepMs: number, limits = LIMITS) => {
		let now = 0;
		const monotonic = () => {
			now += stepMs;
			return now;
		};
		const clock = { ...systemClock, monotonic };
		return checkGolden(voice, golden, limits, undefined, clock);
	};
	t.is((await count(0)).underruns, 0);
	// each chunk a minute after the one before
	const slow = await count(60_000);
	t.true(slow.underruns > 0);
	t.true(slow.passed);
	const held = await count(60_000, { ...LIMITS, underruns: 0 });
	t.false(held.passed);
	t.regex(held.problems.join("; "), /underruns in its own playback, limit 0/);
	t.true((await count(0, { ...LIMITS, underruns: 0 })).passed);
	await voice.dispose();
});

test("a damaged golden.json is refused", async (t) => {
	const voice = await load(1);
	const golden = await makeGolden(voice, ["Hi."], BASE_MEL);
	await voice.dispose();
	const bytes = (value: unknown) => Buffer.from(JSON.stringify(value));
	for (const sentence of golden.sentences) sentence.frames += 1;
	for (const bad of [Buffer.from("{"), bytes({}), bytes(golden)])
		t.throws(() => parseGolden(bad), { code: "E_FILE_FORMAT" });
});
