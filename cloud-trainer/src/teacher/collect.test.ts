import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { writeWav } from "@wattvox/speech";
import test, { type ExecutionContext } from "ava";
import { type CollectOptions, collect, TEACHER_DIR } from "./collect.ts";
import { readSentences } from "./sentences.ts";
import { TeacherError } from "./teacher-error.ts";

const SENTENCES = ["One.", "Two.", "Three.", "Four.", "Five."];
/** Three seconds. */
const WAV = writeWav(new Float32Array(24000).fill(0.1), 8000);

async function setting(
	t: ExecutionContext,
	more: Partial<CollectOptions> = {},
) {
	const dir = await mkdtemp(join(tmpdir(), "wattvox-teacher-"));
	t.teardown(() => rm(dir, { recursive: true, force: true }));
	const asked: string[] = [];
	const options: CollectOptions = {
		dir,
		settings: { url: "http://h/tts", api: "gpt-sovits", language: "en" },
		sentences: SENTENCES,
		budget: { minutes: 10 },
		say: async (text) => {
			asked.push(text);
			return WAV;
		},
		...more,
	};
	return { dir, asked, options };
}

test("every sentence is asked for once, however often it is called", async (t) => {
	const { dir, asked, options } = await setting(t);
	const first = await collect(options);
	t.deepEqual(asked, SENTENCES);
	t.like(first, { kept: 0, ended: "texts", discarded: [] });
	t.is((await readdir(join(dir, TEACHER_DIR))).length, 6, "and the settings");
	const again = await collect({
		...options,
		sentences: [...SENTENCES, "Six."],
	});
	t.is(again.kept, 5);
	t.deepEqual(asked, [...SENTENCES, "Six."]);
	t.deepEqual(
		again.spoken.map((s) => s.text),
		[...SENTENCES, "Six."],
	);
});

test("an interruption keeps what was spoken", async (t) => {
	const stop = new AbortController();
	const { dir, asked, options } = await setting(t);
	await t.throwsAsync(
		collect({
			...options,
			signal: stop.signal,
			onSentence: ({ sentences }) => {
				if (sentences === 2) stop.abort(new Error("stopped"));
			},
		}),
		{ message: "stopped" },
	);
	t.is((await readdir(join(dir, TEACHER_DIR))).length, 3);
	t.is((await collect(options)).kept, 2);
	t.is(asked.length, 5);
});

test("a budget of sentences or minutes ends it; what lies there counts", async (t) => {
	const { asked, options } = await setting(t);
	const few = await collect({
		...options,
		budget: { sentences: 2, minutes: 10 },
	});
	t.like(few, { ended: "sentences", kept: 0 });
	// Each has 3 s: the third passes 0.1 minutes.
	const short = await collect({ ...options, budget: { minutes: 0.1 } });
	t.like(short, { ended: "minutes", kept: 2 });
	t.is(asked.length, 2);
});

test("what a base cannot say is not paid for", async (t) => {
	const { asked, options } = await setting(t);
	const { discarded } = await collect({
		...options,
		refuse: (text) => (text === "Two." ? "no such phone" : undefined),
	});
	t.deepEqual(discarded, [
		{ text: "Two.", reason: "not pronounceable", detail: "no such phone" },
	]);
	t.false(asked.includes("Two."));
});

test("single failures are left out, three in a row end it, hopeless ones at once", async (t) => {
	const failing = (bad: readonly string[], error: TeacherError) =>
		setting(t, {
			say: async (text) => {
				if (bad.includes(text)) throw error;
				return WAV;
			},
		});
	const refused = new TeacherError("refused", "400: too long", { status: 400 });
	const some = await failing(["One.", "Two.", "Four."], refused);
	const out = await collect(some.options);
	t.is(out.spoken.length, 2);
	t.deepEqual(out.discarded[0], {
		text: "One.",
		reason: "refused by the teacher",
		detail: "400: too long",
	});
	const row = await failing(["Two.", "Three.", "Four."], refused);
	await t.throwsAsync(collect(row.options), {
		message: /3 sentences in a row failed, the last because 400: too long/,
	});
	const closed = new TeacherError("refused", "401", { status: 401 });
	const hopeless = await failing(["Three."], closed);
	await t.throwsAsync(collect(hopeless.options), { is: closed });
	t.is((await readdir(join(hopeless.dir, TEACHER_DIR))).length, 3);
});

test("a folder belongs to one teacher", async (t) => {
	const { options } = await setting(t);
	await collect(options);
	const settings = { ...options.settings, extra: { seed: 2 } };
	await t.throwsAsync(collect({ ...options, settings }), {
		message: /asked otherwise/,
	});
});

test("sentences are read a line each, and some ship", async (t) => {
	const { dir } = await setting(t);
	const path = join(dir, "texts.txt");
	await writeFile(path, "\uFEFF# a comment\r\n  One. \r\n\r\nTwo.\nOne.\n");
	t.deepEqual(await readSentences(path, "de"), ["One.", "Two."]);
	t.true((await readSentences(undefined, "en")).length >= 100);
	await t.throwsAsync(readSentences(undefined, "de"), { message: /--texts/ });
	await writeFile(path, "# nothing\n");
	await t.throwsAsync(readSentences(path, "en"), { message: /no sentences/ });
	await t.throwsAsync(readSentences(join(dir, "none"), "en"), {
		message: /no sentences at/,
	});
});
