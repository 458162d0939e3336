import { execFile } from "node:child_process";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { readWav, writeWav } from "@wattvox/speech";
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
	return new Promise((resolve) => {
		execFile(
			process.execPath,
			[cli, ...argv],
			{ timeout: 100_000 },
			(error, _stdout, stderr) => {
				const code = error
					? typeof error.code === "number"
						? error.code
						: -1
					: 0;
				resolve({ code, stderr });
			},
		);
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

test("the recording that ships is what the cases above spoil: by itself it is fine", async (t) => {
	const wav = readWav(await readFile(demo("clip.wav")));
	t.true(wav.samples.length / wav.sampleRate > 20);
});
