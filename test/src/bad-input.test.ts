import { execFile } from "node:child_process";
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
import { fileURLToPath } from "node:url";
import { writeBundle, writeKeys } from "@wattvox/bundle";
import { readWav, writeWav } from "@wattvox/speech";
import { tinyBundle, tinyVoice } from "@wattvox/synth/testing";
import test from "ava";

const cli = fileURLToPath(
	new URL("../../toolkit/cli/dist/main.js", import.meta.url),
);
const demo = (name: string) =>
	fileURLToPath(new URL(`../../toolkit/cli/demo/${name}`, import.meta.url));

interface Ended {
	code: number;
	stderr: string;
}

function wattvox(...argv: string[]): Promise<Ended> {
	return run(process.execPath, [cli, ...argv]);
}

/**
 * The same where no file may grow beyond so many bytes (RLIMIT_FSIZE): writing then fails in the middle of
 * the file, as on a disk that fills up, and nobody has to mount one.
 */
function cramped(fileBytes: number, ...argv: string[]): Promise<Ended> {
	const limit = `--fsize=${fileBytes}`;
	return run("prlimit", [limit, process.execPath, cli, ...argv]);
}

function run(program: string, argv: readonly string[]): Promise<Ended> {
	return new Promise((resolve) => {
		execFile(program, argv, { timeout: 600_000 }, (error, _stdout, stderr) => {
			const code = error
				? typeof error.code === "number"
					? error.code
					: -1
				: 0;
			resolve({ code, stderr });
		});
	});
}

const RATE = 16000;
/** Syllable-like bursts of a buzzing tone: loud enough, not clipped, and nobody's words. */
const bursts = (seconds: number, amplitude = 0.2): Float32Array =>
	Float32Array.from({ length: seconds * RATE }, (_, i) => {
		const t = i / RATE;
		const on = t % 0.4 < 0.25 ? 1 : 0;
		return on * amplitude * (((t * 120) % 1) * 2 - 1);
	});
const text =
	"The kettle is on the stove and the cat is on the mat by the door.";

interface Case {
	name: string;
	/** What the recording holds; "demo" takes the one that ships. */
	clip: Uint8Array | "demo" | "missing";
	text: string | "missing";
	out?: string;
	code: number;
	says: RegExp;
}

const CASES: Case[] = [
	{
		name: "a silent recording",
		clip: writeWav(new Float32Array(30 * RATE), RATE),
		text,
		code: 3,
		says: /E_CLIP_SILENT/,
	},
	{
		name: "a clipped recording",
		clip: writeWav(
			bursts(30, 4).map((x) => Math.max(-1, Math.min(1, x))),
			RATE,
		),
		text,
		code: 3,
		says: /E_CLIP_CLIPPED/,
	},
	{
		name: "a 5 s recording",
		clip: writeWav(bursts(5), RATE),
		text,
		code: 3,
		says: /E_CLIP_SHORT.*5\.0 s/,
	},
	{
		name: "a recording of 11 minutes",
		clip: writeWav(bursts(660), RATE),
		text,
		code: 3,
		says: /E_CLIP_LONG/,
	},
	{
		name: "a missing recording",
		clip: "missing",
		text,
		code: 3,
		says: /E_FILE_MISSING.*clip\.wav/,
	},
	{
		name: "bytes that are no wav",
		clip: Buffer.from("RIFF....WAVEnonsense that is no sound at all"),
		text,
		code: 3,
		says: /E_WAV_CORRUPT/,
	},
	{
		name: "a missing transcript",
		clip: "demo",
		text: "missing",
		code: 3,
		says: /E_FILE_MISSING.*transcript/,
	},
	{
		name: "an empty transcript",
		clip: "demo",
		text: " \n",
		code: 3,
		says: /E_TEXT_EMPTY/,
	},
	{
		name: "a transcript in another script",
		clip: "demo",
		text: "Это совсем другой язык, и голос его не знает.",
		code: 3,
		says: /E_TEXT_SCRIPT/,
	},
	{
		name: "a transcript of something else",
		clip: "demo",
		text: "Completely different words were written here by somebody who never heard the recording. ".repeat(
			9,
		),
		code: 3,
		says: /E_ALIGN.*\d:\d\d/s,
	},
	{
		name: "an output folder that cannot be made",
		clip: "demo",
		text: "demo",
		out: "/proc/wattvox-run",
		code: 6,
		says: /E_OUTPUT/,
	},
];

for (const c of CASES)
	test(`${c.name}: its own error and exit code, and nothing half-written`, async (t) => {
		const dir = await mkdtemp(join(tmpdir(), "wattvox-bad-"));
		try {
			const clip = join(dir, "clip.wav");
			const transcript = join(dir, "clip.txt");
			if (c.clip === "demo")
				await writeFile(clip, await readFile(demo("clip.wav")));
			else if (c.clip !== "missing") await writeFile(clip, c.clip);
			if (c.text === "demo")
				await writeFile(transcript, await readFile(demo("clip.txt")));
			else if (c.text !== "missing") await writeFile(transcript, c.text);
			const out = c.out ?? join(dir, "run");
			const ended = await wattvox(
				"train",
				"--clip",
				clip,
				"--text",
				transcript,
				"--out",
				out,
				"--steps",
				"1",
			);
			t.is(ended.code, c.code, ended.stderr);
			t.regex(ended.stderr, c.says);
			const left = await readdir(out).catch(() => [] as string[]);
			t.deepEqual(
				left.filter((f) => f !== "energy.jsonl"),
				[],
			);
		} finally {
			await rm(dir, { recursive: true });
		}
	});

for (const [name, bytes, kept] of [
	// the clip as the model hears it takes 2 MB
	["preparing", 1_500_000, []],
	// the first checkpoint takes more than 3 MB
	["training", 2_500_000, ["clip.wav", "run.json"]],
] as const)
	test(`a disk that is full while ${name}: its own error and exit code, and nothing half-written`, async (t) => {
		const dir = await mkdtemp(join(tmpdir(), "wattvox-full-"));
		try {
			const out = join(dir, "run");
			const ended = await cramped(
				bytes,
				...["train", "--clip", demo("clip.wav"), "--text", demo("clip.txt")],
				...["--out", out, "--steps", "1"],
			);
			t.is(ended.code, 6, ended.stderr);
			t.regex(ended.stderr, /error E_DISK_FULL: cannot write .*\n.*Free disk/);
			const left = await readdir(out);
			t.deepEqual(left.filter((f) => !/^energy|\.log\.jsonl$/.test(f)).sort(), [
				...kept,
			]);
		} finally {
			await rm(dir, { recursive: true });
		}
	});

test("a disk that is full while speaking into a file: no file", async (t) => {
	const dir = await mkdtemp(join(tmpdir(), "wattvox-full-"));
	try {
		const voice = join(dir, "voice");
		await mkdir(voice);
		const files = tinyVoice({ name: "ada" });
		const { key } = await writeKeys(dir, "builder");
		await writeBundle(
			voice,
			tinyBundle.sources(files),
			tinyBundle.meta("ada"),
			key,
		);
		const out = join(dir, "said", "a.wav");
		const ended = await cramped(
			4096,
			...["say", "Good morning.", "--voice", voice, "--out", out],
		);
		t.is(ended.code, 6, ended.stderr);
		t.regex(ended.stderr, /E_DISK_FULL/);
		t.deepEqual(await readdir(join(dir, "said")).catch(() => []), []);
	} finally {
		await rm(dir, { recursive: true });
	}
});

test("a broker that is not there", async (t) => {
	const dir = await mkdtemp(join(tmpdir(), "wattvox-no-broker-"));
	try {
		const voice = join(dir, "voice");
		const { key, privatePath } = await writeKeys(dir, "builder");
		await writeBundle(
			voice,
			tinyBundle.sources(tinyVoice({ name: "ada" })),
			tinyBundle.meta("ada"),
			key,
		);
		const ended = await wattvox(
			...["publish", voice, "--store", join(dir, "store")],
			...["--key", privatePath, "--fleet", "home", "--device", "kitchen"],
			// discard: nobody listens on port 9 of loopback
			...["--broker", "mqtt://127.0.0.1:9"],
		);
		t.is(ended.code, 5, ended.stderr);
		t.regex(ended.stderr, /E_BROKER/);
	} finally {
		await rm(dir, { recursive: true });
	}
});

test("the recording that ships is what the cases above spoil: by itself it is fine", async (t) => {
	const wav = readWav(await readFile(demo("clip.wav")));
	t.true(wav.samples.length / wav.sampleRate > 20);
});
