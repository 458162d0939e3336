import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { writeKeys } from "@wattvox/bundle";
import { temporaryDir } from "@wattvox/bundle/testing";
import test, { type ExecutionContext } from "ava";
import { commands, groups } from "./commands/index.ts";
import { run } from "./run.ts";
import { type TeacherArgs, teacherSettings } from "./teacher.ts";
import { cli, FakeHost } from "./testing.ts";
import { installed, speak, teacherServer } from "./testing-teacher.ts";

const SENTENCES = [
	"The kettle began to sing before the water was hot.",
	"Please put the blue folder on the shelf by the window.",
	"A thin layer of frost covered the garden this morning.",
	"How far is it from the station to the old museum?",
	"Three of the boats were painted green and one was not.",
	"He had forgotten why he went into the kitchen.",
];

/** A folder with a list of sentences; undefined, and said so, when the synthesiser is missing. */
async function lesson(t: ExecutionContext, program: string) {
	if (!(await installed(program))) {
		t.log(`skipped: ${program} is missing`);
		t.pass();
		return undefined;
	}
	const dir = await temporaryDir(t);
	const texts = join(dir, "texts.txt");
	await writeFile(texts, SENTENCES.join("\n"));
	const args = (...more: string[]) => [
		...["train", "--out", join(dir, "run"), "--texts", texts, "--name", "amy"],
		...["--steps", "2", "--rank", "2", "--json", ...more],
	];
	return { dir, texts, args };
}

interface Result {
	steps: number;
	parameters: number;
	teacher: { discarded: { text: string; reason: string }[]; energy: null };
	energy: { stages: { path: string[] }[] };
}

test("GPT-SoVITS's API: stopped, resumed, trained, exported, inspected", async (t) => {
	const here = await lesson(t, "flite");
	if (!here) return;
	const host = new FakeHost();
	const { base, asked } = await teacherServer(t, "flite", ({ count }, res) => {
		// The second sentence fails once, and Ctrl-C comes with the fourth request.
		if (count === 1) res.writeHead(503).end("warming up");
		if (count === 3) host.emit("SIGINT");
		return count === 1;
	});
	const args = here.args(
		...["--teacher", `${base}/tts`, "--teacher-reference", "/voices/amy.wav"],
		...["--teacher-reference-text", "Good morning."],
	);
	t.is(await run(args, commands, groups, host), 130, host.out);
	const kept = (await readdir(join(here.dir, "run", "teacher"))).length - 1;
	t.true(kept >= 2 && kept < SENTENCES.length, String(kept));

	const before = asked.length;
	const done = await cli(args);
	t.is(done.code, 0, done.out);
	t.is(asked.length - before, SENTENCES.length - kept, "none twice");
	t.like(asked.at(-1)?.fields, {
		text: SENTENCES.at(-1),
		text_lang: "en",
		prompt_lang: "en",
		prompt_text: "Good morning.",
		ref_audio_path: "/voices/amy.wav",
	});
	const result = done.json as Result;
	t.is(result.steps, 2);
	t.is(result.teacher.energy, null);
	t.deepEqual(
		[...new Set(result.energy.stages.map((s) => s.path[0]))],
		["teacher", "prepare", "student"],
	);

	// Trained already: neither the server nor the trainer is needed again.
	const again = await cli(args);
	t.is(again.code, 0, again.out);
	t.is(asked.length - before, SENTENCES.length - kept);
	// A run is of one list and one budget: what it was not made of is not left out in silence.
	for (const other of [
		["--teacher-minutes", "20"],
		["--teacher-sentences", "5"],
	]) {
		const more = await cli([...args, ...other]);
		t.is(more.code, 2, more.out);
		t.regex(more.out, /another list of sentences or another budget/);
	}
	const distil = await cli(["distil", "--run", join(here.dir, "run")]);
	t.is(distil.code, 2);
	t.regex(distil.err, /has learned from http.*export it/);

	const report = await cli(["energy", "report", join(here.dir, "run")]);
	t.regex(report.out, /since it is unknown: the teacher at http/);
	const { privatePath } = await writeKeys(join(here.dir, "keys"), "builder");
	const voice = join(here.dir, "voice");
	const exported = await cli([
		...["export", "--run", join(here.dir, "run"), "--out", voice],
		...["--key", privatePath, "--carbon", "fixed:400"],
	]);
	t.is(exported.code, 0, exported.err);
	const seen = await cli(["inspect", voice]);
	t.regex(
		seen.out,
		/Not in these figures, since it is unknown: the teacher at/,
	);
	const manifest = JSON.parse(
		await readFile(join(voice, "manifest.json"), "utf8"),
	);
	t.is(manifest.energy.trainWh, null);
});

test("OpenAI's API: whole weights, key, budget, and what does not fit is left out", async (t) => {
	const here = await lesson(t, "espeak-ng");
	if (!here) return;
	const { base, asked } = await teacherServer(
		t,
		"espeak-ng",
		async ({ fields }, res) => {
			if (fields.input !== SENTENCES[1]) return false;
			// The right voice with the wrong words.
			res.end(
				await speak("espeak-ng", "Nobody said anything of the sort to me."),
			);
			return true;
		},
	);
	const args = here.args(
		...["--teacher", `${base}/v1/audio/speech`, "--teacher-voice", "amy"],
		...["--teacher-sentences", "5", "--whole"],
	);
	const done = await cli(args, { WATTVOX_TEACHER_KEY: "sk-hidden" });
	t.is(done.code, 0, done.out);
	t.is(asked.length, 5);
	t.is(asked[0]?.authorization, "Bearer sk-hidden");
	t.like(asked[0]?.fields, { voice: "amy", response_format: "wav" });
	const { teacher, parameters } = done.json as Result;
	t.deepEqual(
		teacher.discarded.map((d) => [d.text, d.reason]),
		[[SENTENCES[1], "not what was to be said"]],
	);
	t.true(parameters > 500_000, "all weights");
	const { privatePath } = await writeKeys(join(here.dir, "keys"), "builder");
	const exported = await cli([
		...["export", "--run", join(here.dir, "run"), "--key", privatePath],
		...["--out", join(here.dir, "voice")],
	]);
	t.is(exported.code, 0, exported.err);
	for (const file of await readdir(join(here.dir, "run"), { recursive: true }))
		if (/\.jsonl?$/.test(file))
			t.notRegex(
				await readFile(join(here.dir, "run", file), "utf8"),
				/sk-hidden/,
			);
});

test("a server that teaches nothing ends with what it says", async (t) => {
	const here = await lesson(t, "flite");
	if (!here) return;
	const { base } = await teacherServer(t, "flite");
	const bare = await cli(here.args("--teacher", `${base}/tts`));
	t.is(bare.code, 5);
	t.regex(
		(bare.json as { error: { message: string } }).error.message,
		/3 sentences in a row.*400: ref_audio_path is required \(give --teacher-reference/,
	);
	const openai = ["--teacher", `${base}/v1/audio/speech`];
	const few = await cli(here.args(...openai, "--teacher-sentences", "2"));
	t.is(few.code, 2, "the folder is another teacher's");
	const elsewhere = join(here.dir, "other");
	const short = await cli([
		...["train", "--out", elsewhere, "--texts", here.texts, ...openai],
		...["--teacher-sentences", "2", "--json"],
	]);
	t.is(short.code, 3);
	t.regex(short.out, /of the teacher's 2 sentences can be learned from/);
});

test("a recording beside a teacher is its reference", async (t) => {
	const dir = await temporaryDir(t);
	const [clip, text] = [join(dir, "ref.wav"), join(dir, "ref.txt")];
	await writeFile(text, "Good\nmorning.\n");
	const args = {
		...{ teacher: "http://h:9880/tts", clip, text },
		...{ "teacher-minutes": 10, "teacher-timeout": 60 },
	};
	t.deepEqual(await teacherSettings(args as TeacherArgs, "en-GB"), {
		url: "http://h:9880/tts",
		api: "gpt-sovits",
		language: "en",
		reference: clip,
		referenceText: "Good morning.",
	});
	await t.throwsAsync(
		teacherSettings({ ...args, text: clip } as TeacherArgs, "en"),
		{ message: /no transcript at/ },
	);
});

test("train wants a recording or a teacher, and says what it cannot take", async (t) => {
	const dir = await temporaryDir(t);
	const train = (...more: string[]) =>
		cli(["train", "--out", join(dir, "run"), ...more]);
	const teach = (...more: string[]) =>
		train("--teacher", "http://127.0.0.1:9/tts", ...more);
	for (const [got, said] of [
		[await train(), /--clip, --text/],
		[await train("--teacher", "nowhere"), /takes an address/],
		[await train("--teacher", "http://h/speak"), /--teacher-api/],
		[await teach("--teacher-sentences", "0"), /--teacher-sentences/],
		[await teach("--teacher-minutes", "-1"), /--teacher-minutes/],
		[await teach("--teacher-extra", "[1]"), /JSON object/],
		[await teach("--teacher-api", "openai", "--clip", "a.wav"), /no reference/],
		[await teach("--teacher-api", "riva"), /gpt-sovits/],
	] as const) {
		t.is(got.code, 2, got.err);
		t.regex(got.err, said);
	}
});
