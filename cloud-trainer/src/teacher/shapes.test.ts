import test from "ava";
import {
	apiOf,
	refusalOf,
	requestFields,
	type TeacherSettings,
	teacherUrl,
} from "./shapes.ts";

test("an address's path tells the API", (t) => {
	for (const [url, api] of [
		["http://host:9880/tts", "gpt-sovits"],
		["http://host:9880/voices/tts/", "gpt-sovits"],
		["http://host:9880", "gpt-sovits-v1"],
		["http://host:9880/", "gpt-sovits-v1"],
		["https://api.openai.com/v1/audio/speech", "openai"],
		["http://host/audio/speech", "openai"],
	] as const)
		t.is(apiOf(url), api, url);
	t.throws(() => apiOf("http://host/speak"), { message: /--teacher-api/ });
});

test("an address is http, and holds no credentials", (t) => {
	t.is(teacherUrl("http://h:1/tts").port, "1");
	for (const bad of ["h:1/tts", "ftp://h/tts", "", "http://"])
		t.throws(() => teacherUrl(bad), { code: "E_USAGE" } as never, bad);
	const told = t.throws(() => teacherUrl("http://me:secret@h/tts"));
	t.false(told.message.includes("secret"));
});

const S: TeacherSettings = {
	url: "http://h/tts",
	api: "gpt-sovits",
	language: "en",
};

test("fields are those that each server documents", (t) => {
	const reference = { reference: "/r.wav", referenceText: "Hello." };
	t.deepEqual(
		requestFields({ ...S, ...reference, extra: { seed: 7 } }, "Hi."),
		{
			text: "Hi.",
			text_lang: "en",
			ref_audio_path: "/r.wav",
			prompt_text: "Hello.",
			prompt_lang: "en",
			media_type: "wav",
			streaming_mode: false,
			seed: 7,
		},
	);
	const old = { ...S, api: "gpt-sovits-v1" } as const;
	t.deepEqual(requestFields(old, "Hi."), { text: "Hi.", text_language: "en" });
	t.deepEqual(requestFields({ ...old, ...reference }, "Hi."), {
		text: "Hi.",
		text_language: "en",
		refer_wav_path: "/r.wav",
		prompt_text: "Hello.",
		prompt_language: "en",
	});
	t.deepEqual(
		requestFields({ ...S, api: "openai", voice: "amy", model: "m" }, "Hi."),
		{ model: "m", input: "Hi.", voice: "amy", response_format: "wav" },
	);
});

test("a refusal is told in the server's own words", (t) => {
	for (const [body, said] of [
		['{"message":"ref_audio_path is required"}', "ref_audio_path is required"],
		['{"message":"tts failed","Exception":"no\\n gpu"}', "tts failed (no gpu)"],
		['{"error":{"message":"no such voice","code":1}}', "no such voice"],
		['{"detail":[{"msg":"field required"}]}', '[{"msg":"field required"}]'],
		["<h1>Bad\n gateway</h1>", "<h1>Bad gateway</h1>"],
		["", ""],
	] as const)
		t.is(refusalOf(body), said);
	t.is(refusalOf("x".repeat(500)).length, 200);
});
