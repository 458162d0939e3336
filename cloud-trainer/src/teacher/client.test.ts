import {
	createServer,
	type IncomingMessage,
	type ServerResponse,
} from "node:http";
import type { AddressInfo } from "node:net";
import { ManualClock } from "@wattvox/core";
import { writeWav } from "@wattvox/speech";
import test, { type ExecutionContext } from "ava";
import { TeacherClient, type TeacherClientOptions } from "./client.ts";
import type { TeacherSettings } from "./shapes.ts";
import type { TeacherError } from "./teacher-error.ts";

const TONE = writeWav(
	Float32Array.from({ length: 8000 }, (_, i) => 0.3 * Math.sin(i / 7)),
	16000,
);

interface Asked {
	method: string;
	url: URL;
	headers: IncomingMessage["headers"];
	body: string;
}

/** A server that answers by a list, the last entry for ever; what it was asked is kept. */
async function teacher(
	t: ExecutionContext,
	answers: readonly ((res: ServerResponse, asked: Asked) => void)[],
	settings: Partial<TeacherSettings> = {},
	options: TeacherClientOptions = {},
) {
	const asked: Asked[] = [];
	const server = createServer((req, res) => {
		let body = "";
		req.on("data", (part) => {
			body += part;
		});
		req.on("end", () => {
			const one: Asked = {
				method: req.method ?? "",
				url: new URL(req.url ?? "/", "http://h"),
				headers: req.headers,
				body,
			};
			asked.push(one);
			answers[Math.min(asked.length, answers.length) - 1]?.(res, one);
		});
	});
	await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
	t.teardown(() => {
		server.closeAllConnections();
		server.close();
	});
	const { port } = server.address() as AddressInfo;
	const client = new TeacherClient(
		{
			url: `http://127.0.0.1:${port}/tts`,
			api: "gpt-sovits",
			language: "en",
			...settings,
		},
		{ baseMs: 1, ...options },
	);
	return { client, asked, server };
}

const wav = (res: ServerResponse) => res.end(TONE);
const json = (status: number, body: unknown) => (res: ServerResponse) => {
	res.statusCode = status;
	res.end(JSON.stringify(body));
};

test("a sentence is posted, and the wav comes back as it is", async (t) => {
	const { client, asked } = await teacher(t, [wav], {}, { key: "k1" });
	t.deepEqual(Uint8Array.from(await client.say("Hello.")), TONE);
	t.is(asked[0]?.method, "POST");
	t.like(JSON.parse(asked[0]?.body ?? ""), { text: "Hello.", text_lang: "en" });
	t.is(asked[0]?.headers.authorization, "Bearer k1");
	t.is(asked[0]?.headers["content-type"], "application/json");
});

test("a server that knows GET alone is asked so from then on", async (t) => {
	const { client, asked } = await teacher(t, [json(405, {}), wav]);
	await client.say("One, two & three?");
	await client.say("Four.");
	t.deepEqual(
		asked.map((a) => a.method),
		["POST", "GET", "GET"],
	);
	t.is(asked[1]?.url.searchParams.get("text"), "One, two & three?");
	t.is(asked[1]?.url.searchParams.get("streaming_mode"), "false");
});

test("what passes is tried again, what does not is told at once", async (t) => {
	const flaky = await teacher(t, [
		json(503, { message: "busy" }),
		(res) => res.destroy(),
		(res) => res.end("nonsense"),
		(res) => res.end(),
		wav,
	]);
	t.is((await flaky.client.say("Hello.")).length, TONE.length);
	t.is(flaky.asked.length, 5);

	const refusing = await teacher(t, [
		json(400, { message: "tts failed", Exception: "out of memory" }),
	]);
	const refused = (await t.throwsAsync(
		refusing.client.say("Hello."),
	)) as TeacherError;
	t.is(refused.message, "the teacher answered 400: tts failed (out of memory)");
	t.like(refused, { code: "E_TEACHER", exit: 5, hopeless: false });
	t.is(refusing.asked.length, 1);

	const garbage = await teacher(
		t,
		[(res) => res.end("{}")],
		{},
		{ attempts: 2 },
	);
	await t.throwsAsync(garbage.client.say("Hello."), { message: /no sound/ });
	t.is(garbage.asked.length, 2);
});

test("a server that asks for patience gets it", async (t) => {
	const clock = new ManualClock();
	const waits: number[] = [];
	const { client } = await teacher(
		t,
		[
			(res) => {
				res.writeHead(429, { "retry-after": "7" }).end("{}");
			},
			wav,
		],
		{},
		{
			clock,
			onRetry: (_, wait) => {
				waits.push(wait);
				setImmediate(() => clock.advance(wait));
			},
		},
	);
	await client.say("Hello.");
	t.deepEqual(waits, [7000]);
});

test("errors name what is known on this side, and never the key", async (t) => {
	const key = "sk-very-secret";
	const say = async (
		answer: (res: ServerResponse) => void,
		settings: Partial<TeacherSettings> = {},
		options: TeacherClientOptions = {},
	) => {
		const { client } = await teacher(t, [answer], settings, options);
		const error = (await t.throwsAsync(client.say("Hello."))) as TeacherError;
		t.false(`${error.message}${error.stack}`.includes(key));
		return error;
	};
	const noKey = await say(json(401, {}));
	t.true(noKey.hopeless);
	t.regex(noKey.message, /WATTVOX_TEACHER_KEY/);
	const badKey = await say(
		json(401, { error: { message: "bad key" } }),
		{},
		{ key },
	);
	t.regex(badKey.message, /401: bad key$/);
	t.regex((await say(json(404, { detail: "Not Found" }))).message, /at \/tts/);
	const required = { message: "ref_audio_path is required" };
	t.regex((await say(json(400, required))).message, /--teacher-reference/);
	const mp3 = await say((res) => res.end(Buffer.from("ID3\x04abcdefghijkl")));
	t.regex(mp3.message, /answered with MP3/);
	t.true(mp3.hopeless);
});

test("no server, and a server that never answers", async (t) => {
	const { client, server } = await teacher(t, [wav], {}, { attempts: 2 });
	await new Promise((done) => server.close(done));
	const refused = (await t.throwsAsync(client.say("Hello."))) as TeacherError;
	t.regex(refused.message, /refused \(is its server running\?\)/);
	t.true(refused.hopeless);

	const mute = await teacher(
		t,
		[() => undefined],
		{},
		{ attempts: 1, timeoutMs: 50 },
	);
	await t.throwsAsync(mute.client.say("Hello."), {
		message: /no answer within 0\.05 s/,
	});

	const stop = new AbortController();
	const waiting = await teacher(t, [() => stop.abort(new Error("enough"))]);
	await t.throwsAsync(waiting.client.say("Hello.", stop.signal), {
		message: "enough",
	});
});

test("a header that was written before its sound is read to the end", async (t) => {
	const streamed = Buffer.from(TONE);
	streamed.writeUInt32LE(36, 4);
	streamed.writeUInt32LE(0, 40);
	const { client } = await teacher(t, [(res) => res.end(streamed)]);
	t.is((await client.say("Hello.")).length, TONE.length);
	const silent = await teacher(
		t,
		[(res) => res.end(writeWav(new Float32Array(0), 16000))],
		{},
		{ attempts: 1 },
	);
	await t.throwsAsync(silent.client.say("Hello."), {
		message: /holds no sound/,
	});
});
