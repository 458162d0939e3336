import { existsSync } from "node:fs";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { writeBundle, writeKeys } from "@wattvox/bundle";
import { temporaryDir } from "@wattvox/bundle/testing";
import { readWav } from "@wattvox/speech";
import { tinyBundle, tinyVoice } from "@wattvox/synth/testing";
import test, { type ExecutionContext } from "ava";
import { cli } from "../testing.ts";

async function voice(t: ExecutionContext) {
	const dir = await temporaryDir(t);
	const { key, publicPath } = await writeKeys(dir, "builder");
	const bundle = join(dir, "voice");
	const files = tinyVoice({ name: "ada", adapterSeed: 3 });
	await writeBundle(
		bundle,
		tinyBundle.sources(files),
		tinyBundle.meta("ada"),
		key,
	);
	return { dir, bundle, publicPath, out: join(dir, "out/hello.wav") };
}

test("say writes the same wav twice, and another for another seed", async (t) => {
	const { dir, bundle, publicPath, out } = await voice(t);
	const say = (path: string, ...more: string[]) =>
		cli([
			...["say", "Hello there.", "--voice", bundle, "-o", path],
			...["--trust", publicPath, ...more],
		]);
	const people = await say(out);
	t.is(people.code, 0, people.err);
	t.regex(people.out, /real-time factor/);
	const wav = readWav(await readFile(out));
	t.is(wav.sampleRate, 16000);
	t.true(wav.samples.length > 2000);
	const again = await say(join(dir, "b.wav"), "--json");
	t.like(again.json, { out: join(dir, "b.wav"), skipped: [] });
	t.deepEqual(await readFile(join(dir, "b.wav")), await readFile(out));
	await say(join(dir, "c.wav"), "--seed", "2");
	t.notDeepEqual(await readFile(join(dir, "c.wav")), await readFile(out));
});

test("without --trust it speaks and says that nobody vouched", async (t) => {
	const { bundle, out } = await voice(t);
	const { code, err } = await cli([
		...["say", "Hello.", "--voice", bundle, "-o", out],
	]);
	t.is(code, 0, err);
	t.regex(err, /signature not checked/);
});

type House = Awaited<ReturnType<typeof voice>>;
/** What differs from `say Hello. --voice <bundle> -o <out>`. */
interface Change {
	text?: string;
	voice?: string;
	more?: string[];
}

const BAD: [string, number, string, (v: House) => Promise<Change>][] = [
	[
		"a changed file",
		4,
		"E_TAMPERED",
		async ({ bundle }) => {
			await writeFile(join(bundle, "voice.json"), "{}");
			return {};
		},
	],
	[
		"a key that did not sign it",
		4,
		"E_SIGNATURE",
		async ({ dir }) => {
			const { publicPath } = await writeKeys(dir, "other");
			return { more: ["--trust", publicPath] };
		},
	],
	["no text", 3, "E_TEXT_EMPTY", async () => ({ text: " " })],
	[
		"a script it cannot speak",
		3,
		"E_TEXT_SCRIPT",
		async () => ({ text: "你好" }),
	],
	["a speed out of range", 2, "E_USAGE", async () => ({ more: ["--speed=9"] })],
	[
		"an output below a file",
		6,
		"E_OUTPUT",
		async ({ dir }) => {
			await writeFile(join(dir, "out"), "a file");
			return {};
		},
	],
	[
		"no voice there",
		3,
		"E_FILE_MISSING",
		async ({ dir }) => ({ voice: join(dir, "none") }),
	],
];

for (const [what, code, name, change] of BAD)
	test(`${what}: ${name}, and no wav is left`, async (t) => {
		const v = await voice(t);
		const {
			text = "Hello.",
			voice: dir = v.bundle,
			more = [],
		} = await change(v);
		const said = await cli([
			...["say", text, "--voice", dir, "-o", v.out, ...more],
		]);
		t.is(said.code, code, said.err);
		t.true(said.err.includes(`error ${name}: `), said.err);
		t.false(existsSync(v.out));
		t.deepEqual(
			(await readdir(v.dir)).filter((n) => n.includes("tmp")),
			[],
		);
	});
