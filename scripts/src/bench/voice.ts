import { access } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { corpusWer } from "@wattvox/cloud-trainer";
import {
	catchInterrupts,
	plainProgress,
	silentProgress,
	WattvoxError,
} from "@wattvox/core";
import {
	type Clip,
	folderVoice,
	readClips,
	sampleClips,
	type VoiceSource,
	voiceFolders,
} from "../eval/clips.ts";
import { Ears } from "../eval/ears.ts";
import { baseGoals, retentionGoals, tunedGoals } from "../eval/goals.ts";
import { type Measures, measure, type RivalSet } from "../eval/measure.ts";
import { meanPitch } from "../eval/pitch.ts";
import { openEncoder } from "../eval/speaker-encoder.ts";
import { type VoiceResult, voiceReport } from "../eval/voice-report.ts";

const USAGE = `npm run bench -- voice --recordings DIR [options]

DIR holds NAME.wav + NAME.txt pairs, or one such folder per voice. Give recordings
that the voice was not tuned on.

  --synth DIR      wav files of the voice under test, by the same names or texts
                   (one folder per voice where DIR has several)
  --tuned          judge as a voice tuned on a minute (else as a voice of the base)
  --rivals DIR     recordings of the base's voices, a folder each; may be repeated
  --alone DIR      the same sentences by the speaker embedding alone
  --teacher DIR    the same sentences by the teacher
  --encoder FILE   the base's speaker.onnx, or "spectrum": mean cepstra, a yardstick
  --limit N        sentences per voice (default 50)
  --jobs N         recognisers at a time (default 2)
  --no-words       leave the recogniser out
  --json           for programs

npm run bench -- voice --recordings target/heldout --synth spoken --tuned \\
  --rivals corpus-eval --encoder base/speaker.onnx
`;

/** Clips that show a rival's voice where it has not recorded the sentences under test. */
const RIVAL_CLIPS = 10;

type Options = ReturnType<typeof options>;

function options(argv: string[]) {
	const { values } = parseArgs({
		args: argv,
		allowNegative: true,
		options: {
			recordings: { type: "string" },
			synth: { type: "string" },
			tuned: { type: "boolean", default: false },
			rivals: { type: "string", multiple: true, default: [] },
			alone: { type: "string" },
			teacher: { type: "string" },
			encoder: { type: "string" },
			limit: { type: "string", default: "50" },
			jobs: { type: "string", default: "2" },
			words: { type: "boolean", default: true },
			json: { type: "boolean", default: false },
			help: { type: "boolean", default: false },
		},
	});
	return values;
}

/** `bench voice`: the tables that decide whether a voice is good. */
export async function run(argv: string[]): Promise<void> {
	const o = options(argv);
	if (o.help) return void process.stdout.write(USAGE);
	if (!o.recordings) throw new WattvoxError("E_USAGE", USAGE);
	const interrupts = catchInterrupts();
	const encoder = o.encoder ? await openEncoder(o.encoder) : undefined;
	try {
		const ears = new Ears({
			encoder,
			words: o.words,
			jobs: count(o.jobs, "jobs"),
			progress: o.json
				? silentProgress
				: plainProgress((line) => process.stderr.write(`${line}\n`)),
			signal: interrupts.signal,
		});
		const results: VoiceResult[] = [];
		for (const { name, dir } of await voiceFolders(o.recordings)) {
			const clips = await readClips(dir, count(o.limit, "limit"));
			results.push(await judge(name, clips, o, ears));
		}
		process.stdout.write(
			o.json
				? `${JSON.stringify(results, null, "\t")}\n`
				: voiceReport(results),
		);
	} finally {
		interrupts.stop();
		await encoder?.dispose();
	}
}

async function judge(
	voice: string,
	clips: readonly Clip[],
	o: Options,
	ears: Ears,
): Promise<VoiceResult> {
	const recordings = await ears.all(`${voice}: recordings`, clips);
	const words = recordings.flatMap((h) => (h.words ? [h.words] : []));
	const result: VoiceResult = {
		voice,
		sentences: clips.length,
		seconds: recordings.reduce((n, r) => n + r.seconds, 0),
		...(words.length > 0 ? { wer: corpusWer(words) } : {}),
		pitch: meanPitch(recordings),
		goals: [],
	};
	if (!o.synth) return result;
	const sets = await rivalSets(o.rivals, voice, clips, ears);
	const measured = async (what: string, dir: string): Promise<Measures> => {
		const own = join(dir, voice);
		const source = await folderVoice((await exists(own)) ? own : dir);
		const said = await ears.all(
			`${voice}: ${what}`,
			await sayAll(source, clips),
		);
		return measure(recordings, said, sets);
	};
	result.measures = await measured("synthesis", o.synth);
	if (o.alone) result.alone = await measured("embedding alone", o.alone);
	if (o.teacher) result.teacher = await measured("teacher", o.teacher);
	result.goals = o.tuned
		? tunedGoals(result.measures, result.alone)
		: baseGoals(result.measures);
	if (result.teacher)
		result.goals.push(...retentionGoals(result.teacher, result.measures));
	return result;
}

/** The sentences of `clips`, spoken by another voice. */
async function sayAll(
	source: VoiceSource,
	clips: readonly Clip[],
): Promise<Clip[]> {
	const said: Clip[] = [];
	for (const { name, text } of clips) {
		const samples = await source.say({ name, text });
		if (samples) said.push({ name, text, samples });
	}
	if (said.length < clips.length)
		throw new WattvoxError(
			"E_FILE_MISSING",
			`${source.name} has ${said.length} of ${clips.length} sentences`,
		);
	return said;
}

async function rivalSets(
	dirs: readonly string[],
	voice: string,
	clips: readonly Clip[],
	ears: Ears,
): Promise<RivalSet[]> {
	const sets: RivalSet[] = [];
	for (const dir of dirs) {
		const set = { name: dir, rivals: [] as RivalSet["rivals"][number][] };
		for (const v of await voiceFolders(dir)) {
			// A base voice under test is no rival to itself.
			if (v.name === voice) continue;
			const sample = await sampleClips(v.dir, RIVAL_CLIPS, clips);
			set.rivals.push({
				name: v.name,
				clips: await ears.voice(`${v.name}: base voice`, sample),
			});
		}
		sets.push(set);
	}
	return sets;
}

function count(text: string, name: string): number {
	const n = Number(text);
	if (!Number.isSafeInteger(n) || n < 1)
		throw new WattvoxError("E_USAGE", `--${name} ${text} is not a count`);
	return n;
}

async function exists(path: string): Promise<boolean> {
	try {
		await access(path);
		return true;
	} catch {
		return false;
	}
}
