import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { writeWav } from "@wattvox/speech";
import test, { type ExecutionContext } from "ava";
import { folderVoice, readClips, sampleClips, voiceFolders } from "./clips.ts";

async function folder(t: ExecutionContext): Promise<string> {
	const dir = await mkdtemp(join(tmpdir(), "wattvox-clips-"));
	t.teardown(() => rm(dir, { recursive: true, force: true }));
	return dir;
}

async function put(
	dir: string,
	name: string,
	level: number,
	text?: string,
	rate = 16000,
): Promise<void> {
	await mkdir(dir, { recursive: true });
	const samples = new Float32Array(rate / 10).fill(level);
	await writeFile(join(dir, `${name}.wav`), writeWav(samples, rate));
	if (text !== undefined)
		await writeFile(join(dir, `${name}.txt`), `${text}\n`);
}

const level = (s: Float32Array | undefined) =>
	s ? Math.round((s[s.length >> 1] ?? 0) * 100) / 100 : undefined;

test("pairs come in the order of names, at 16 kHz, and a wav without text is no pair", async (t) => {
	const dir = await folder(t);
	await put(dir, "b", 0.2, "Second.");
	await put(dir, "a", 0.1, "First.", 8000);
	await put(dir, "c", 0.3);
	const clips = await readClips(dir);
	t.deepEqual(
		clips.map((c) => [c.name, c.text, c.samples.length, level(c.samples)]),
		[
			["a", "First.", 1600, 0.1],
			["b", "Second.", 1600, 0.2],
		],
	);
	t.is((await readClips(dir, 1)).length, 1);
	const empty = join(dir, "empty");
	await mkdir(empty);
	await t.throwsAsync(readClips(empty), { code: "E_FILE_MISSING" });
});

test("voices are the folder itself, its subfolders, or those under wavs/", async (t) => {
	const dir = await folder(t);
	await put(join(dir, "wavs", "s2"), "x", 0.1);
	await put(join(dir, "wavs", "s1"), "x", 0.1);
	await mkdir(join(dir, "empty"));
	const names = async (d: string) => (await voiceFolders(d)).map((v) => v.name);
	t.deepEqual(await names(dir), ["s1", "s2"]);
	t.deepEqual(await names(join(dir, "wavs", "s1")), ["s1"]);
});

test("a folder speaks by name, or by words where names differ", async (t) => {
	const dir = await folder(t);
	await put(dir, "1", 0.1, "Good morning, all!");
	await put(dir, "2", 0.2, "Good night.");
	await put(dir, "3", 0.3);
	const voice = await folderVoice(dir);
	const say = async (name: string, text: string) =>
		level(await voice.say({ name, text }));
	t.is(await say("1", "good morning all"), 0.1);
	t.is(await say("x", "Good night"), 0.2);
	t.is(await say("3", "Whatever it may say."), 0.3);
	// The file of that name says something else.
	t.is(await say("1", "Good night"), 0.2);
	t.is(await say("1", "Good evening"), undefined);
});

test("a sample is the wanted sentences if all are there, else spread over the folder", async (t) => {
	const dir = await folder(t);
	for (let i = 0; i < 6; i++) await put(dir, `${i}`, i / 10, `Text ${i}`);
	const of = async (count: number, texts: string[]) =>
		(
			await sampleClips(
				dir,
				count,
				texts.map((text) => ({ name: "0", text })),
			)
		).map((c) => c.text);
	t.deepEqual(await of(3, []), ["Text 0", "Text 2", "Text 4"]);
	t.deepEqual(await of(3, ["text 5", "text 1"]), ["text 5", "text 1"]);
	t.deepEqual(await of(2, ["text 5", "text 9"]), ["Text 0", "Text 3"]);
});
