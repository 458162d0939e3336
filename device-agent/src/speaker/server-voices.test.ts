import { Voice } from "@wattvox/synth";
import { spellingFrontend, tinyVoice } from "@wattvox/synth/testing";
import test from "ava";
import type { FromSpeaker, OfferedVoice } from "./messages.ts";
import { SpeechServer } from "./server.ts";
import { SharedVoice } from "./shared-voice.ts";
import { VoiceShelf } from "./voice-shelf.ts";
import { VoiceSlot } from "./voice-slot.ts";

const A = "a".repeat(64);
const B = "b".repeat(64);
const C = "c".repeat(64);
const TEXT = "The first sentence. And the second one.";
const load = (name: string, adapterSeed: number) =>
	Voice.load(tinyVoice({ name, adapterSeed }), { frontend: spellingFrontend });
const offer = (id: string, digest: string): OfferedVoice => ({
	...{ id, digest, language: "en", base: "tiny" },
});
const NAMES = new Map([
	[A, "anna"],
	[B, "berta"],
	[C, "anna"],
]);

/** A server with anna active, and berta and an older anna beside her. */
async function serve(
	t: { teardown(f: () => unknown): void },
	options: {
		prepare?: (digest: string) => Promise<void>;
		places?: number;
		/** By which berta and the older anna speak. */
		engine?: string | null;
	} = {},
) {
	const slot = new VoiceSlot();
	await slot.swap(A, () => load("anna", 1));
	const shelf = new VoiceShelf({
		places: options.places ?? 1,
		bytes: 1e9,
		available: () => 1e12,
		maxWaiting: 2,
		async prepare(digest) {
			await options.prepare?.(digest);
			const seed = digest === B ? 2 : 3;
			return {
				bytes: 5,
				load: async () => ({
					voice: await load(NAMES.get(digest) ?? "", seed),
					engine: options.engine ?? null,
				}),
			};
		},
	});
	const begun: string[] = [];
	const server = new SpeechServer({
		...{ slot, shelf, maxWaiting: 2 },
		onEvent(event: FromSpeaker) {
			if (event.kind === "begin") begun.push(event.digest);
		},
	});
	await server.voices.offer([
		offer("anna", A),
		offer("berta", B),
		offer("anna", C),
	]);
	const url = `http://127.0.0.1:${await server.start()}`;
	t.teardown(async () => {
		await server.stop();
		await shelf.close();
		await slot.close();
	});
	const say = async (voice?: string, signal?: AbortSignal) => {
		const reply = await fetch(`${url}/v1/audio/speech`, {
			method: "POST",
			headers: { "content-type": "application/json" },
			body: JSON.stringify({ input: TEXT, voice, response_format: "pcm" }),
			...(signal && { signal }),
		});
		const bytes = new Uint8Array(await reply.arrayBuffer());
		const text = Buffer.from(bytes).toString();
		return {
			status: reply.status,
			bundle: reply.headers.get("x-wattvox-bundle"),
			bytes,
			json: () => JSON.parse(text),
		};
	};
	const get = async (path: string) => (await fetch(`${url}${path}`)).text();
	return { slot, shelf, server, say, get, begun };
}

test("a request names its voice: by name, by its bundle, or not at all", async (t) => {
	const { say, get, begun } = await serve(t);
	const asked = [undefined, "default", "anna", A, "berta", B, C];
	const spoke = [A, A, A, A, B, B, C];
	for (const [i, voice] of asked.entries()) {
		const { status, bundle } = await say(voice);
		t.is(status, 200);
		t.is(bundle, String(spoke[i]));
	}
	t.deepEqual(begun, spoke);
	const { voices } = JSON.parse(await get("/v1/voices"));
	t.deepEqual(
		voices.map((v: Record<string, unknown>) => [
			v.id,
			v.bundle,
			v.active,
			v.loaded,
		]),
		[
			["anna", A, true, true],
			["berta", B, false, false],
			["anna", C, false, true],
		],
	);
	t.is(voices[2].bytes, 5);
	t.is(voices[1].base, "tiny");
	const metrics = await get("/metrics");
	const has = (line: string) => t.true(metrics.includes(`\n${line}\n`), line);
	has(`wattvox_voice_utterances_total{voice="anna",bundle="${A}"} 4`);
	has(`wattvox_voice_utterances_total{voice="berta",bundle="${B}"} 2`);
	has(`wattvox_voice_in_memory{voice="berta",bundle="${B}"} 0`);
	has(`wattvox_voice_active{voice="anna",bundle="${A}"} 1`);
	has("wattvox_aside_loads_total 2");
	has("wattvox_aside_evictions_total 1");
	has("wattvox_utterances_total 7");
});

test("the list says what computes each voice that is loaded", async (t) => {
	const { slot, say, get } = await serve(t, { engine: "e2" });
	await say("berta");
	const listed = async () =>
		JSON.parse(await get("/v1/voices")).voices.map(
			(v: Record<string, unknown>) => [v.bundle, v.runtime, v.engine],
		);
	const others = [
		[B, "tensorrt", "e2"],
		[C, null, null],
	];
	t.deepEqual(await listed(), [[A, "onnxruntime", null], ...others]);
	await slot.swap(A, () => load("anna", 1), "e1");
	t.deepEqual(await listed(), [[A, "tensorrt", "e1"], ...others]);
	t.is(JSON.parse(await get("/healthz")).runtime, "tensorrt");
	// asked to use another, it came to speak by none
	const plain = await load("anna", 1);
	await slot.swap(A, async () => new SharedVoice(plain, A), "e3");
	t.deepEqual(await listed(), [[A, "onnxruntime", null], ...others]);
	// neither asked for the same again nor for none is it loaded anew
	const no = () => Promise.reject(new Error("it was loaded"));
	await slot.swap(A, no, "e3");
	await slot.swap(A, no);
	t.is((await say()).status, 200);
});

test("each voice sounds as it does alone", async (t) => {
	const { say } = await serve(t);
	const alone = await load("berta", 2);
	const expected = await alone.speak(TEXT).samples();
	await alone.dispose();
	const { bytes } = await say("berta");
	t.is(bytes.length, expected.length * 2);
	const samples = new Int16Array(bytes.buffer, 0, expected.length);
	t.true(
		samples.every((s, i) => Math.abs(s / 32767 - (expected[i] ?? 9)) < 1e-3),
	);
	t.notDeepEqual(bytes, (await say("anna")).bytes);
});

test("a voice that is not here is 404, with those that are", async (t) => {
	const { say, server } = await serve(t);
	const { status, json } = await say("nova");
	t.is(status, 404);
	t.is(json().error.code, "E_VOICE_UNKNOWN");
	t.regex(json().error.message, /no voice "nova"; there is "anna", "berta"/);
	t.deepEqual(
		json().voices.map((v: { bundle: string }) => v.bundle),
		[A, B, C],
	);
	// what the agent takes back is not to be had any more
	await say("berta");
	await server.voices.offer([offer("anna", A)]);
	t.is((await say("berta")).status, 404);
	t.is((await say(B)).status, 404);
});

test("while a voice is loaded, or never will be, the active one speaks on", async (t) => {
	let go: () => void = () => undefined;
	const { say, get } = await serve(t, {
		prepare: () =>
			new Promise((resolve) => {
				go = resolve;
			}),
	});
	const leave = new AbortController();
	const waiting = say("berta");
	const leaving = say("berta", leave.signal);
	while (!(await get("/metrics")).includes("\nwattvox_aside_waiting 2\n"));
	for (let i = 0; i < 3; i++) t.is((await say()).bundle, A);
	const third = await say("berta");
	t.is(third.status, 429);
	leave.abort();
	await t.throwsAsync(leaving, { any: true, name: "AbortError" });
	go();
	t.is((await waiting).bundle, B);
});

test("a voice that may not be loaded is an error of that request alone", async (t) => {
	const { say, get } = await serve(t, { places: 0 });
	const { status, json } = await say("berta");
	t.is(status, 503);
	t.is(json().error.code, "E_MEMORY");
	t.is((await say()).status, 200);
	t.regex(await get("/healthz"), /"status":"ok"/);
});

test("who waits for a voice that stops being the active one gets it all the same", async (t) => {
	const { slot, say, begun } = await serve(t);
	const first = say("anna");
	const second = say(A);
	const swapped = slot.swap(B, () => load("berta", 2));
	t.is((await first).bundle, A);
	t.is((await second).bundle, A);
	await swapped;
	// by its digest: anna's older bundle has her name too
	t.is((await say(A)).bundle, A);
	t.is((await say()).bundle, B);
	t.deepEqual(begun, [A, A, A, B]);
});

test("one that becomes the active one is not loaded twice", async (t) => {
	const { slot, shelf, say } = await serve(t);
	await say("berta");
	await slot.swap(B, async () => {
		const taken = shelf.take(B);
		if (!taken) throw new Error("it was loaded");
		return taken;
	});
	t.is((await say()).bundle, B);
	t.deepEqual(shelf.loaded, []);
});
