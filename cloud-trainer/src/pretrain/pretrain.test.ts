import {
	mkdir,
	mkdtemp,
	readFile,
	rm,
	stat,
	writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { studentConfig, teacherConfig, vocoderConfig } from "@wattvox/models";
import { toPhones, writeWav } from "@wattvox/speech";
import test from "ava";
import { ENGLISH_PHONES, readCorpus, symbolsOf } from "../data/corpus.ts";
import { TINY } from "../voice/_tiny-base.test.ts";
import { readWeights } from "./base.ts";
import { pretrain } from "./pretrain.ts";

const SENTENCES = [
	"a bee saw me",
	"we see a sea",
	"be my bee",
	"so low a sea",
	"no bee may be so",
	"my low bee",
];
const PHONE_SECONDS = 0.11;
const RATES = [16000, 22050];

/** "Speech" in which each phone is a chord of its own: enough for an aligner to learn from. */
function chords(text: string, pitch: number, rate = 16000): Float32Array {
	const { phones } = toPhones(text);
	const each = Math.round(PHONE_SECONDS * rate);
	const out = new Float32Array(phones.length * each);
	phones.forEach((p, i) => {
		const at = ENGLISH_PHONES.indexOf(p);
		for (let k = 0; k < each && p !== "pau"; k++) {
			const s = k / rate;
			out[i * each + k] =
				0.1 *
				(Math.sin(2 * Math.PI * (pitch + 90 * at) * s) +
					Math.sin(2 * Math.PI * (3500 - 60 * at) * s));
		}
	});
	return out;
}

const symbols = symbolsOf(ENGLISH_PHONES).length;
const SIZES = {
	teacher: { ...teacherConfig(symbols), ...TINY, decoderWidth: 24 },
	student: { ...studentConfig(symbols), ...TINY },
	vocoder: { ...vocoderConfig, width: 16, layers: 1, expand: 1 },
	speaker: { width: 16, layers: 1, expand: 1 },
	aligner: { width: 24, layers: 1, expand: 1 },
};

test("a corpus of wav and txt pairs becomes a base: aligned from a flat start, all stages, resumable", async (t) => {
	const dir = await mkdtemp(join(tmpdir(), "wattvox-pretrain-"));
	try {
		const corpus = join(dir, "corpus");
		for (const [s, speaker] of ["ann", "bob"].entries()) {
			await mkdir(join(corpus, speaker), { recursive: true });
			for (const [i, text] of SENTENCES.entries()) {
				await writeFile(
					join(corpus, speaker, `${i}.wav`),
					// One of them at another rate than the model's, as corpora come.
					writeWav(chords(text, 300 + 200 * s, RATES[s]), RATES[s] ?? 0),
				);
				await writeFile(join(corpus, speaker, `${i}.txt`), text);
			}
		}
		const out = join(dir, "base");
		const options = {
			corpus,
			out,
			name: "tiny",
			language: "en",
			sizes: SIZES,
			steps: { speaker: 2, aligner: 120, vocoder: 2, teacher: 2, student: 2 },
			threads: 1,
		};
		const base = await pretrain(options);
		t.is(base.name, "tiny");
		t.deepEqual(Object.keys(base.voices).sort(), ["ann", "bob"]);
		for (const model of [
			"teacher",
			"student",
			"vocoder",
			"speaker",
			"aligner",
		] as const)
			t.true((await readWeights(out, model)).size > 0, model);
		const aligned = await readCorpus(join(out, "work"));
		t.is(aligned.length, 12);
		for (const u of aligned) {
			// The chords are all of one length, so every inner phone's end is known.
			const inner = u.phones.filter(([p]) => p !== "pau");
			for (const [k, [, end]] of inner.entries())
				t.true(
					Math.abs(end / 16000 - (k + 2) * PHONE_SECONDS) < 0.06,
					`${u.id} ${k}`,
				);
		}
		// Every stage is done: a second run finds the checkpoints and trains no further step.
		const before = (await stat(join(out, "work", "teacher.log.jsonl"))).size;
		await pretrain({ ...options, stages: ["teacher"] });
		t.is((await stat(join(out, "work", "teacher.log.jsonl"))).size, before);
		t.regex(await readFile(join(out, "base.json"), "utf8"), /"name": "tiny"/);
	} finally {
		await rm(dir, { recursive: true });
	}
});
