import test from "ava";
import {
	spellingFrontend,
	type TinyVoiceOptions,
	tinyVoice,
} from "./testing.ts";
import type { LoadOptions } from "./voice.ts";
import { Voice } from "./voice.ts";
import type { VoiceFiles } from "./voice-files.ts";

const TEXT = "The quick brown fox jumps over the lazy dog. It was not amused!";

const load = (files: VoiceFiles, options: Partial<LoadOptions> = {}) =>
	Voice.load(files, { frontend: spellingFrontend, ...options });

const tiny = (options: TinyVoiceOptions = {}) => load(tinyVoice(options));

function worst(a: Float32Array, b: Float32Array): number {
	return a.reduce((m, s, i) => Math.max(m, Math.abs(s - (b[i] ?? 9))), 0);
}

test("speech in chunks of any size equals speech in one piece", async (t) => {
	const voice = await tiny();
	const whole = await voice.speak(TEXT, { whole: true }).samples();
	t.true(whole.some((s) => Math.abs(s) > 0.05));
	for (const chunk of [5, 16, 64]) {
		const chunked = await tiny({ chunk });
		const samples = await chunked.speak(TEXT).samples();
		t.is(samples.length, whole.length);
		t.true(worst(samples, whole) < 1e-5, `chunk ${chunk}`);
		await chunked.dispose();
	}
	await voice.dispose();
});

test("a halo shorter than the receptive field is heard at the joins", async (t) => {
	const files = tinyVoice();
	files.config.halo = 2;
	const voice = await load(files);
	const whole = await voice.speak(TEXT, { whole: true }).samples();
	t.true(worst(await voice.speak(TEXT).samples(), whole) > 1e-3);
	await voice.dispose();
});

test("equal seeds give equal samples, other seeds others", async (t) => {
	const voice = await tiny();
	const [a, b, c] = await Promise.all(
		[3, 3, 4].map((seed) => voice.speak("Hello.", { seed }).samples()),
	);
	t.deepEqual(a, b);
	t.is(a?.length, c?.length);
	t.notDeepEqual(a, c);
	await voice.dispose();
});

test("speed changes the length in proportion", async (t) => {
	const voice = await tiny();
	const length = async (speed: number) =>
		(await voice.speak(TEXT, { speed, pauseMs: 0 }).samples()).length;
	const normal = await length(1);
	t.true(Math.abs((await length(0.5)) / normal - 2) < 0.1);
	t.true(Math.abs((await length(2)) / normal - 0.5) < 0.1);
	for (const speed of [0, 5, Number.NaN])
		t.throws(() => voice.speak(TEXT, { speed }), { code: "E_USAGE" });
	await voice.dispose();
});

test("an adapter changes the voice, and one made for another base is refused", async (t) => {
	const [base, adapted, other] = await Promise.all([
		tiny(),
		tiny({ adapterSeed: 5 }),
		tiny({ adapterSeed: 6 }),
	]);
	const say = (voice: Voice) => voice.speak("Hello.").samples();
	const sounds = [await say(base), await say(adapted), await say(other)];
	t.notDeepEqual(sounds[0], sounds[1]);
	t.notDeepEqual(sounds[1], sounds[2]);
	for (const voice of [base, adapted, other]) await voice.dispose();

	const files = tinyVoice({ adapterSeed: 5 });
	const swapped = { ...files, decoder: files.text };
	await t.throwsAsync(load(swapped), {
		code: "E_MODEL",
		message: /another base/,
	});
	const { adapter: _, ...without } = files;
	await t.throwsAsync(load(without), { code: "E_FILE_MISSING" });
});

test("statistics follow the utterance", async (t) => {
	const voice = await tiny();
	const utterance = voice.speak(TEXT, { pauseMs: 100 });
	t.is(utterance.stats.firstSoundMs, null);
	t.is(utterance.stats.realTimeFactor, null);
	const samples = await utterance.samples();
	const { stats } = utterance;
	t.is(stats.sentences, 2);
	t.is(stats.audioSeconds, samples.length / 16000);
	t.true((stats.firstSoundMs ?? 0) > 0);
	t.true(stats.computeMs > 0 && (stats.realTimeFactor ?? 0) > 0);
	t.throws(() => utterance[Symbol.asyncIterator](), { code: "E_BUG" });
	await voice.dispose();
});

test("sentences join in silence and start and end at nothing", async (t) => {
	const voice = await tiny();
	const [one, two, both] = await Promise.all(
		["Hello.", "You.", "Hello. You."].map((text) =>
			voice.speak(text, { pauseMs: 100 }).samples(),
		),
	);
	t.is(both?.length, (one?.length ?? 0) + (two?.length ?? 0) + 1600);
	const join = both?.slice(one?.length, (one?.length ?? 0) + 1600);
	t.true(join?.every((s) => s === 0));
	t.true(Math.abs(one?.at(-1) ?? 1) < 0.01 && Math.abs(one?.[0] ?? 1) < 0.01);
	await voice.dispose();
});

test("an utterance can be abandoned or left, and the voice speaks on", async (t) => {
	const voice = await tiny();
	const stop = new AbortController();
	const heard: number[] = [];
	await t.throwsAsync(
		async () => {
			for await (const chunk of voice.speak(TEXT, { signal: stop.signal })) {
				heard.push(chunk.length);
				stop.abort();
			}
		},
		{ code: "E_INTERRUPTED" },
	);
	t.is(heard.length, 1);
	for await (const chunk of voice.speak(TEXT)) {
		t.true(chunk.length > 0);
		break;
	}
	t.true((await voice.speak("Hello.").samples()).length > 0);
	await voice.dispose();
	await t.throwsAsync(voice.speak("Hello.").samples(), { code: "E_BUG" });
});

test("nothing to say is an error, not silence", async (t) => {
	const voice = await tiny();
	await t.throwsAsync(voice.speak("").samples(), { code: "E_TEXT_EMPTY" });
	await voice.dispose();
	const mute = await load(tinyVoice(), {
		frontend: () => [{ text: "?", phones: [], skipped: ["?"] }],
	});
	await t.throwsAsync(mute.speak("?").samples(), {
		code: "E_TEXT_UNPRONOUNCEABLE",
	});
	await mute.dispose();
	const foreign = await load(tinyVoice(), {
		frontend: () => [{ text: "x", phones: ["qq"], skipped: [] }],
	});
	await t.throwsAsync(foreign.speak("x").samples(), {
		code: "E_MODEL",
		message: /"qq"/,
	});
	await foreign.dispose();
});

test("a model whose samples are no numbers does not speak", async (t) => {
	const broken = tinyVoice();
	broken.config.speaker[0] = Number.NaN;
	await t.throwsAsync(load(broken), { code: "E_MODEL", message: /number/ });
});
