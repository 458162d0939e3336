import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import test from "ava";
import {
	detectLayout,
	type Layout,
	pinyinPhones,
	readRecordings,
} from "./layouts.ts";

async function folder(files: Record<string, string>): Promise<string> {
	const dir = await mkdtemp(join(tmpdir(), "wattvox-layout-"));
	for (const [name, text] of Object.entries(files)) {
		await mkdir(dirname(join(dir, name)), { recursive: true });
		await writeFile(join(dir, name), text);
	}
	return dir;
}

const CASES: [Layout, Record<string, string>, [string, string, string][]][] = [
	[
		"ljspeech",
		{
			"metadata.csv": "LJ1|Dr. Who|Doctor Who\nLJ2|Hi there|\n",
			"wavs/LJ1.wav": "",
			"wavs/LJ2.wav": "",
		},
		[
			["LJ1", "Doctor Who", "wavs/LJ1.wav"],
			["LJ2", "Hi there", "wavs/LJ2.wav"],
		],
	],
	[
		"vctk",
		{
			"txt/p225/p225_001.txt": "Please call Stella.\n",
			"txt/p225/p225_002.txt": "Lost.",
			"wav48/p225/p225_001.wav": "",
		},
		[["p225_001", "Please call Stella.", "wav48/p225/p225_001.wav"]],
	],
	[
		"aishell3",
		{ "train/content.txt": "SSB00050001.wav\t广 guang3 州 zhou1\n" },
		[["SSB00050001", "广州", "train/wav/SSB0005/SSB00050001.wav"]],
	],
	[
		"pairs",
		{
			"ann/one.wav": "",
			"ann/one.txt": "One.\n",
			"ann/two.wav": "",
			"bob/one.wav": "",
			"bob/one.txt": "Eins.",
		},
		[
			["ann_one", "One.", "ann/one.wav"],
			["bob_one", "Eins.", "bob/one.wav"],
		],
	],
];

for (const [layout, files, wanted] of CASES)
	test(`reads the ${layout} layout`, async (t) => {
		const dir = await folder(files);
		try {
			t.is(await detectLayout(dir), layout);
			const found = await readRecordings(dir, layout);
			t.deepEqual(
				found.map((r) => [r.id, r.text, r.wav]),
				wanted,
			);
		} finally {
			await rm(dir, { recursive: true });
		}
	});

test("AISHELL-3 brings its own phones, and speakers come from names or folders", async (t) => {
	const dir = await folder({
		"train/content.txt": "SSB00050001.wav\t广 guang3 州 zhou1\n",
	});
	try {
		const [r] = await readRecordings(dir, "aishell3");
		t.is(r?.speaker, "SSB0005");
		t.deepEqual(r?.phones, ["pau", "g", "uang3", "zh", "ou1", "pau"]);
	} finally {
		await rm(dir, { recursive: true });
	}
	t.deepEqual(pinyinPhones("er2"), ["er2"]);
	t.deepEqual(pinyinPhones("ma"), ["m", "a5"]);
});

test("FLAC files are named as what stands in the way", async (t) => {
	const dir = await folder({
		"txt/p225/p225_001.txt": "Please call Stella.",
		"wav48_silence_trimmed/p225/p225_001_mic1.flac": "",
	});
	try {
		t.is(await detectLayout(dir), "vctk");
		await t.throwsAsync(readRecordings(dir, "vctk"), {
			code: "E_FILE_FORMAT",
			message: /FLAC.*convert/,
		} as never);
	} finally {
		await rm(dir, { recursive: true });
	}
});

test("a folder that is no corpus is refused with what was expected", async (t) => {
	const dir = await folder({ "notes.md": "" });
	try {
		await t.throwsAsync(detectLayout(dir), {
			code: "E_FILE_FORMAT",
			message: /LJSpeech.*VCTK.*AISHELL-3/,
		} as never);
	} finally {
		await rm(dir, { recursive: true });
	}
});
