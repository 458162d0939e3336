import { mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { writeKeys } from "@wattvox/bundle";
import { temporaryDir } from "@wattvox/bundle/testing";
import test from "ava";
import { cli } from "../testing.ts";

test("distil and export without a run say so", async (t) => {
	const dir = await temporaryDir(t);
	const { privatePath } = await writeKeys(join(dir, "keys"), "builder");
	const distil = await cli(["distil", "--run", join(dir, "none")]);
	t.is(distil.code, 3);
	t.regex(distil.err, /E_FILE_MISSING: .*holds no training run/);
	const exported = await cli([
		...["export", "--run", join(dir, "none"), "--out", join(dir, "voice")],
		...["--key", privatePath],
	]);
	t.is(exported.code, 3);
	t.deepEqual(await readdir(dir), ["keys"]);
});

test("a key that is none, a carbon source that is none, a run that is none", async (t) => {
	const dir = await temporaryDir(t);
	const { privatePath, publicPath } = await writeKeys(dir, "builder");
	const exported = (...more: string[]) =>
		cli(["export", "--run", dir, "--out", join(dir, "voice"), ...more]);
	t.is((await exported("--key", publicPath)).code, 4);
	const carbon = await exported("--key", privatePath, "--carbon", "green");
	t.is(carbon.code, 2);
	await writeFile(join(dir, "run.json"), "{}");
	const broken = await exported("--key", privatePath);
	t.is(broken.code, 3);
	t.regex(broken.err, /E_FILE_FORMAT/);
});

test("a recording or a transcript that is none leaves no folder, also where it would wait for its hour", async (t) => {
	const dir = await temporaryDir(t);
	const [notes, empty, out] = [
		join(dir, "notes.txt"),
		join(dir, "empty.txt"),
		join(dir, "run"),
	];
	await writeFile(notes, "The quick brown fox.");
	await writeFile(empty, "");
	const attempt = (clip: string, text: string, ...more: string[]) =>
		cli(["train", "--clip", clip, "--text", text, "--out", out, ...more]);
	for (const more of [[], ["--deadline", "12h", "--carbon", "fixed:100"]]) {
		const noWav = await attempt(notes, notes, ...more);
		t.is(noWav.code, 3);
		t.regex(noWav.err, /E_WAV_CORRUPT/);
		const noText = await attempt(notes, empty, ...more);
		t.regex(noText.err, /E_TEXT_EMPTY/);
	}
	t.deepEqual((await readdir(dir)).sort(), ["empty.txt", "notes.txt"]);
});

test("demo takes a recording only with its transcript", async (t) => {
	const { code, err } = await cli(["demo", "--clip", "me.wav"]);
	t.is(code, 2);
	t.regex(err, /--clip and --transcript go together/);
	const short = await cli(["demo", "--workload", "20"]);
	t.is(short.code, 2);
	t.regex(short.err, /--workload takes at least 30 seconds/);
});

test("pretrain names the stages there are, and wants a corpus", async (t) => {
	const dir = await temporaryDir(t);
	const out = join(dir, "base");
	const bad = await cli([
		...["pretrain", "--corpus", dir, "--out", out, "--stage", "student2"],
	]);
	t.is(bad.code, 2);
	t.regex(bad.err, /no stage student2: .*student/);
	for (const kl of ["1:0.1", "0.1", "a:1", "-1:1"]) {
		const weights = await cli([
			...["pretrain", "--corpus", dir, "--out", out, `--kl=${kl}`],
		]);
		t.is(weights.code, 2, kl);
		t.regex(weights.err, /two weights that do not fall, like 0\.1:1/);
	}
	await mkdir(join(dir, "empty"));
	const empty = await cli([
		...["pretrain", "--corpus", join(dir, "empty"), "--out", out],
	]);
	t.is(empty.code, 3, empty.err);
});
