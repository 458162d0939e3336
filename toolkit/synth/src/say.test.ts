import {
	mkdir,
	mkdtemp,
	readdir,
	readFile,
	rm,
	writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { newKey, writeBundle } from "@wattvox/bundle";
import { readWav } from "@wattvox/speech";
import test from "ava";
import { sayToFile } from "./say.ts";
import { spellingFrontend, tinyBundle, tinyVoice } from "./testing.ts";
import { readVoiceFiles } from "./voice-files.ts";

const frontend = spellingFrontend;
const meta = tinyBundle.meta("tiny");

async function folder(t: { teardown(f: () => unknown): void }) {
	const dir = await mkdtemp(join(tmpdir(), "wattvox-synth-"));
	t.teardown(() => rm(dir, { recursive: true }));
	return dir;
}

test("a bundle's folder speaks into a wav file that says it is synthetic", async (t) => {
	const dir = await folder(t);
	const bundle = join(dir, "bundle");
	const files = tinyVoice({ adapterSeed: 3 });
	await writeBundle(bundle, tinyBundle.sources(files), meta, newKey());
	const out = join(dir, "deep", "out.wav");
	let chunks = 0;
	const stats = await sayToFile(bundle, "Hello there.", out, {
		frontend,
		onChunk: () => chunks++,
	});
	const bytes = await readFile(out);
	const wav = readWav(bytes);
	t.is(wav.sampleRate, 16000);
	t.is(wav.samples.length / 16000, stats.audioSeconds);
	t.true(chunks > 1);
	t.regex(bytes.toString("latin1"), /Synthetic speech made by wattvox/);
	t.deepEqual(await readdir(join(dir, "deep")), ["out.wav"]);
});

test("a folder without a manifest is read by the usual names", async (t) => {
	const dir = await folder(t);
	const files = tinyVoice();
	await writeFile(join(dir, "voice.json"), JSON.stringify(files.config));
	await writeFile(join(dir, "text.onnx"), files.text);
	await writeFile(join(dir, "decoder.onnx"), files.decoder);
	const read = await readVoiceFiles(dir);
	t.deepEqual(read.config, files.config);
	t.deepEqual(new Uint8Array(read.text), files.text);
	await rm(join(dir, "decoder.onnx"));
	await t.throwsAsync(readVoiceFiles(dir), {
		code: "E_FILE_MISSING",
		message: /decoder\.onnx/,
	});
});

test("voice.json cannot lead out of its folder, and is checked", async (t) => {
	const dir = await folder(t);
	const files = tinyVoice({ adapterSeed: 1 });
	await writeFile(join(dir, "text.onnx"), files.text);
	await writeFile(join(dir, "decoder.onnx"), files.decoder);
	const write = (change: object) =>
		writeFile(
			join(dir, "voice.json"),
			JSON.stringify({ ...files.config, ...change }),
		);
	await write({ adapter: { ...files.config.adapter, file: "../x" } });
	await t.throwsAsync(readVoiceFiles(dir), { code: "E_FILE_FORMAT" });
	for (const change of [
		{ speaker: [1, 2] },
		{ symbols: ["_", "a", "a"] },
		{ hop: 0 },
		{ name: "a/b" },
	]) {
		await write(change);
		await t.throwsAsync(readVoiceFiles(dir), { code: "E_FILE_FORMAT" });
	}
});

test("nothing is written when the text cannot be spoken or the place not written to", async (t) => {
	const dir = await folder(t);
	const bundle = join(dir, "bundle");
	await writeBundle(bundle, tinyBundle.sources(tinyVoice()), meta, newKey());
	await t.throwsAsync(sayToFile(bundle, "", join(dir, "x.wav"), { frontend }), {
		code: "E_TEXT_EMPTY",
	});
	await mkdir(join(dir, "out.wav"));
	await t.throwsAsync(
		sayToFile(bundle, "Hi.", join(dir, "out.wav"), { frontend }),
		{ code: "E_OUTPUT" },
	);
	t.deepEqual((await readdir(dir)).sort(), ["bundle", "out.wav"]);
});
