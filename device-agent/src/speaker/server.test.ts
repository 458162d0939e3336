import { readFile } from "node:fs/promises";
import { request } from "node:http";
import { join } from "node:path";
import { readWav } from "@wattvox/speech";
import { Voice } from "@wattvox/synth";
import { spellingFrontend, tinyVoice } from "@wattvox/synth/testing";
import test from "ava";
import { fakePlayer } from "./_fake-player.test.ts";
import type { FromSpeaker } from "./messages.ts";
import { SpeechServer, type SpeechServerOptions } from "./server.ts";
import { VoiceSlot } from "./voice-slot.ts";
import { pcm16 } from "./wav-stream.ts";

type Context = { teardown(f: () => unknown): void };
type Event = Extract<FromSpeaker, { kind: "begin" | "end" }>;

const TEXT = "The first sentence. And the second one.";
const LONG = Array.from({ length: 60 }, () => TEXT).join(" ");
const load = (name = "tiny", seed = 1) =>
	Voice.load(tinyVoice({ name, seed }), { frontend: spellingFrontend });

async function problem(reply: Response) {
	const body = await reply.json();
	const { error } = body as {
		error: { code: string; message: string; type: string; help?: string };
	};
	return error;
}

async function serve(t: Context, options: Partial<SpeechServerOptions> = {}) {
	const slot = options.slot ?? new VoiceSlot();
	const events: Event[] = [];
	let heard: () => void = () => undefined;
	const server = new SpeechServer({
		slot,
		onEvent: (event) => {
			events.push(event);
			heard();
		},
		...options,
	});
	const url = `http://127.0.0.1:${await server.start()}`;
	t.teardown(async () => {
		await server.stop();
		await slot.close();
	});
	const post = (what: string, body: object, signal?: AbortSignal) =>
		fetch(`${url}/v1/audio/${what}`, {
			method: "POST",
			headers: { "content-type": "application/json" },
			body: JSON.stringify(body),
			...(signal && { signal }),
		});
	const say = post.bind(null, "speech");
	const play = post.bind(null, "play");
	const until = async (met: () => boolean) => {
		while (!met())
			await new Promise<void>((resolve) => {
				heard = resolve;
			});
	};
	return { slot, events, url, say, play, until, server };
}

test("speech comes as a wav file with its tag, or as plain samples", async (t) => {
	const { slot, say, events, until } = await serve(t);
	const voice = await load();
	const expected = await voice.speak(TEXT).samples();
	await slot.swap("a", async () => voice);
	const wav = await say({ model: "tts-1", input: TEXT, voice: "tiny" });
	t.is(wav.status, 200);
	t.is(wav.headers.get("content-type"), "audio/wav");
	t.regex(wav.headers.get("x-synthetic-audio") ?? "", /Synthetic/);
	const bytes = new Uint8Array(await wav.arrayBuffer());
	t.regex(Buffer.from(bytes).toString("latin1"), /Synthetic speech/);
	const sound = readWav(bytes);
	t.is(sound.sampleRate, 16000);
	t.is(sound.samples.length, expected.length);
	t.true(
		sound.samples.every((s, i) => Math.abs(s - (expected[i] ?? 9)) < 1e-4),
	);

	const pcm = await say({ input: TEXT, response_format: "pcm" });
	t.is(pcm.headers.get("x-sample-rate"), "16000");
	t.is((await pcm.arrayBuffer()).byteLength, expected.length * 2);
	await until(() => events.length === 4);
	t.deepEqual(
		events.map((e) => e.kind),
		["begin", "end", "begin", "end"],
	);
	const end = events[1] as Event & { kind: "end" };
	t.true(end.whole);
	t.is(end.audioSeconds, expected.length / 16000);
	t.true(end.computeMs > 0);

	const fast = await say({ input: TEXT, response_format: "pcm", speed: 2 });
	t.true((await fast.arrayBuffer()).byteLength < expected.length * 1.4);
});

test("sound is sent while the rest is still being made", async (t) => {
	const { slot, say, events } = await serve(t);
	await slot.swap("a", () => load());
	const reply = await say({ input: LONG, response_format: "pcm" });
	const reader = reply.body?.getReader();
	const first = await reader?.read();
	t.true((first?.value?.byteLength ?? 0) > 0);
	t.deepEqual(
		events.map((e) => e.kind),
		["begin"],
	);
	await reader?.cancel();
});

test("a listener who leaves stops the work, and the next is served", async (t) => {
	const { slot, say, events, until } = await serve(t);
	await slot.swap("a", () => load());
	const stop = new AbortController();
	const reply = await say({ input: LONG, response_format: "pcm" }, stop.signal);
	await reply.body?.getReader().read();
	stop.abort();
	await until(() => events.some((e) => e.kind === "end"));
	const end = events.find((e) => e.kind === "end") as Event & { kind: "end" };
	t.false(end.whole);
	const next = await say({ input: "Hello." });
	t.is(next.status, 200);
	t.true((await next.arrayBuffer()).byteLength > 1000);
});

test("bad requests are told what is wrong", async (t) => {
	const { slot, say, url } = await serve(t);
	const early = await say({ input: "Hello." });
	t.is(early.status, 503);
	const none = await problem(early);
	t.like(none, { code: "E_NO_VOICE", type: "server_error" });
	t.regex(none.help ?? "", /Publish a voice/);
	t.is((await fetch(`${url}/healthz`)).status, 503);
	await slot.swap("a", () => load());
	const bad: [object, RegExp][] = [
		[{}, /input/],
		[{ input: "" }, /input/],
		[{ input: "Hi.", response_format: "mp3" }, /response_format/],
		[{ input: "Hi.", speed: 9 }, /speed/],
		[{ input: "?!" }, /nothing to say/],
		[{ input: "x".repeat(20_001) }, /input/],
	];
	for (const [body, message] of bad) {
		const reply = await say(body);
		t.is(reply.status, 400, JSON.stringify(body).slice(0, 80));
		const { message: said, type } = await problem(reply);
		t.regex(said, message);
		t.is(type, "invalid_request_error");
	}
	const odd = await fetch(`${url}/v1/audio/speech`, {
		method: "POST",
		headers: { "content-type": "application/json" },
		body: "{",
	});
	t.is(odd.status, 400);
	t.is((await fetch(`${url}/nothing`)).status, 404);
	const health = await (await fetch(`${url}/healthz`)).json();
	t.like(health, { status: "ok", voice: "tiny", bundle: "a", utterances: 0 });
});

test("a web page under another name is turned away", async (t) => {
	const { slot, url } = await serve(t);
	await slot.swap("a", () => load());
	const status = await new Promise<number | undefined>((resolve, reject) => {
		const headers = { host: "evil.example" };
		request(`${url}/healthz`, { headers }, (reply) => {
			reply.resume();
			resolve(reply.statusCode);
		})
			.on("error", reject)
			.end();
	});
	t.is(status, 403);
});

test("requests take turns; too many are sent away to come again", async (t) => {
	const { slot, say, url } = await serve(t, { maxWaiting: 2 });
	await slot.swap("a", () => load());
	const stop = new AbortController();
	const first = await say({ input: LONG, response_format: "pcm" }, stop.signal);
	const waiting = [say({ input: "One." }), say({ input: "Two." })];
	const row = async () => {
		const health = await fetch(`${url}/healthz`);
		return ((await health.json()) as { waiting: number }).waiting;
	};
	while ((await row()) < 2);
	const full = await say({ input: "Three." });
	t.is(full.status, 429);
	t.is((await problem(full)).type, "rate_limit_error");
	t.is(full.headers.get("retry-after"), "1");
	stop.abort();
	await first.body?.cancel().catch(() => undefined);
	for (const reply of await Promise.all(waiting)) {
		t.is(reply.status, 200);
		await reply.arrayBuffer();
	}
});

test("a swap while speaking drops nothing: each utterance keeps its voice", async (t) => {
	const { slot, say } = await serve(t);
	const sound = async (voice: Voice) =>
		Buffer.from(pcm16(await voice.speak(TEXT).samples()));
	const [a, b] = [await load("a", 1), await load("b", 2)];
	const alone = { a: await sound(a), b: await sound(b) };
	t.notDeepEqual(alone.a, alone.b);
	await slot.swap("a", async () => a);
	const replies = Array.from({ length: 6 }, () =>
		say({ input: TEXT, response_format: "pcm" }),
	);
	await replies[0];
	await slot.swap("b", async () => b);
	const last = say({ input: TEXT, response_format: "pcm" });
	for (const reply of [...replies, last]) {
		const { status, headers, arrayBuffer } = await reply.then(async (r) => ({
			status: r.status,
			headers: r.headers,
			arrayBuffer: await r.arrayBuffer(),
		}));
		t.is(status, 200);
		const who = headers.get("x-wattvox-bundle") as "a" | "b";
		// sample for sample what the voice says alone: nothing clicks, nothing is missing
		t.true(alone[who].equals(Buffer.from(arrayBuffer)));
	}
	t.is((await last).headers.get("x-wattvox-bundle"), "b");
	// The old voice is freed once nobody uses it.
	await t.throwsAsync(a.speak("Hi.").samples(), { code: "E_BUG" });
	await t.throwsAsync(
		slot.swap("c", () => Promise.reject(new Error("does not load"))),
	);
	t.is(slot.digest, "b");
});

test("play is heard from the device, in turn with the others, and says how it went", async (t) => {
	const player = await fakePlayer(t, "cat > sound");
	const { slot, say, play, url, events } = await serve(t, {
		player: () => player,
	});
	const none = await play({ input: TEXT });
	t.is(none.status, 503);
	await slot.swap("a", () => load());
	const [played, spoken] = await Promise.all([
		play({ input: TEXT }),
		say({ input: TEXT, response_format: "pcm" }),
	]);
	t.is(played.status, 200);
	t.regex(played.headers.get("x-synthetic-audio") ?? "", /Synthetic/);
	const answer = (await played.json()) as Record<string, number>;
	const samples = new Uint8Array(await spoken.arrayBuffer());
	t.deepEqual(
		new Uint8Array(await readFile(join(player.dir, "sound"))),
		samples,
	);
	t.like(answer, { voice: "tiny", bundle: "a", player: "make-believe" });
	t.true(Math.abs((answer.seconds ?? 0) - samples.length / 2 / 16_000) < 1e-6);
	const end = events.find((e) => e.kind === "end");
	t.true(end?.kind === "end" && end.whole);
	// a busy machine may have had some
	const { underruns } = answer;
	const health = await (await fetch(`${url}/healthz`)).json();
	t.like(health, { played: 1, underruns });
	const metrics = await (await fetch(`${url}/metrics`)).text();
	t.regex(metrics, /^wattvox_played_total 1$/m);
	t.true(metrics.includes(`\nwattvox_underruns_total ${underruns}\n`));
	t.is((await play({ input: TEXT, voice: "nova" })).status, 404);
});

test("underruns are counted, and a player that fails takes nothing with it", async (t) => {
	const words = 'echo "underrun!!! (at least 9.0 ms long)" >&2; cat >/dev/null';
	let player = await fakePlayer(t, words);
	const { slot, say, play, url } = await serve(t, {
		player: () => player,
		stuckMs: 300,
	});
	await slot.swap("a", () => load());
	const dry = await play({ input: TEXT });
	t.true(((await dry.json()) as { underruns: number }).underruns >= 1);
	for (const script of ["exit 2", "cat >/dev/null; exec sleep 1000"]) {
		player = await fakePlayer(t, script);
		const broken = await play({ input: "No." });
		t.is(broken.status, 500);
		const why = await problem(broken);
		t.like(why, { code: "E_PLAYER", type: "server_error" });
		t.regex(why.help ?? "", /--audio-device/);
	}
	const next = await say({ input: "Hello." });
	t.is(next.status, 200);
	await next.arrayBuffer();
	const metrics = await (await fetch(`${url}/metrics`)).text();
	t.regex(metrics, /^wattvox_underruns_total [1-9]/m);
	t.regex(metrics, /^wattvox_failed_total 2$/m);
});

test("who asked for sound and leaves stops it", async (t) => {
	const player = await fakePlayer(t, "exec sleep 1000");
	const { slot, say, play, events, until } = await serve(t, {
		player: () => player,
	});
	await slot.swap("a", () => load());
	const stop = new AbortController();
	const asked = play({ input: LONG }, stop.signal);
	await until(() => events.length > 0);
	stop.abort();
	await t.throwsAsync(asked, { any: true, name: "AbortError" });
	await until(() => events.length === 2);
	t.like(events[1], { kind: "end", whole: false });
	t.is((await say({ input: "Hello." })).status, 200);
});
