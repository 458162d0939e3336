import { join } from "node:path";
import { parseArgs } from "node:util";
import {
	type Base,
	centroid,
	corpusWer,
	readBase,
} from "@wattvox/cloud-trainer";
import {
	catchInterrupts,
	plainProgress,
	silentProgress,
	WattvoxError,
} from "@wattvox/core";
import {
	type Clip,
	readClips,
	sampleClips,
	type VoiceSource,
	voiceFolders,
} from "../eval/clips.ts";
import { Ears } from "../eval/ears.ts";
import { baseGoals, retentionGoals, tunedGoals } from "../eval/goals.ts";
import { embeddings, type Rival } from "../eval/identity.ts";
import { type Measures, measure, type RivalSet } from "../eval/measure.ts";
import { voicePitch } from "../eval/pitch.ts";
import { openEncoder } from "../eval/speaker-encoder.ts";
import type { Utterance } from "../eval/utterance.ts";
import { type VoiceResult, voiceReport } from "../eval/voice-report.ts";
import {
	baseVoice,
	exists,
	isBundle,
	openVoice,
	sayAll,
} from "../eval/voice-source.ts";

const USAGE = `npm run bench -- voice --recordings DIR [options]

DIR holds NAME.wav + NAME.txt pairs, or one such folder per voice. Give recordings
that the voice was not tuned on. Who speaks:

  --voice BUNDLE   a voice tuned on a minute; its speaker embedding alone is tried beside it
  --synth DIR      wav files by the same names or texts (a folder per voice where DIR has several)
  --base DIR       with neither: the base itself, by the embedding of each voice.
                   Also gives the encoder and the base's own voices to tell apart from

  --tuned          judge --synth as a voice tuned on a minute, not as a voice of the base
  --rivals DIR     recordings of the base's voices, a folder each; may be repeated
  --alone PATH     wav files or bundle: the same sentences by the speaker embedding alone
  --teacher PATH   wav files or bundle: the same sentences by the teacher
  --encoder FILE   the base's speaker.onnx, or "spectrum": mean cepstra, a yardstick
  --limit N        sentences per voice (default 50)
  --jobs N         recognisers at a time (default 2)
  --no-words       leave the recogniser out
  --json           for programs

npm run bench -- voice --recordings target/heldout --voice run/bundle \\
  --base models/base-en/base --rivals corpus-eval
`;

/** Clips that show a rival's voice where it has not recorded the sentences under test. */
const RIVAL_CLIPS = 6;

function options(argv: string[]) {
	const { values } = parseArgs({
		args: argv,
		allowNegative: true,
		options: {
			recordings: { type: "string" },
			voice: { type: "string" },
			synth: { type: "string" },
			base: { type: "string" },
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

type Options = ReturnType<typeof options>;

/** What one run works with. */
interface Bench {
	options: Options;
	base: { dir: string; about: Base } | undefined;
	ears: Ears;
	signal: AbortSignal;
}

/** `bench voice`: the tables that decide whether a voice is good. */
export async function run(argv: string[]): Promise<void> {
	const o = options(argv);
	if (o.help) return void process.stdout.write(USAGE);
	if (!o.recordings) throw new WattvoxError("E_USAGE", USAGE);
	const base = o.base
		? { dir: o.base, about: await readBase(o.base) }
		: undefined;
	const model = o.encoder ?? (o.base && join(o.base, "speaker.onnx"));
	const interrupts = catchInterrupts();
	const encoder = model ? await openEncoder(model) : undefined;
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
		const bench = { options: o, base, ears, signal: interrupts.signal };
		const results: VoiceResult[] = [];
		for (const { name, dir } of await voiceFolders(o.recordings)) {
			const clips = await readClips(dir, count(o.limit, "limit"));
			results.push(await judge(bench, name, clips));
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
	bench: Bench,
	voice: string,
	clips: readonly Clip[],
): Promise<VoiceResult> {
	const { options: o, ears } = bench;
	const recordings = await ears.all(`${voice}: recordings`, clips);
	const words = recordings.flatMap((h) => (h.words ? [h.words] : []));
	const result: VoiceResult = {
		voice,
		sentences: clips.length,
		seconds: recordings.reduce((n, r) => n + r.seconds, 0),
		...(words.length > 0 ? { wer: corpusWer(words) } : {}),
		pitch: voicePitch(recordings),
		goals: [],
	};
	const speakers = await speakersOf(bench, voice, recordings);
	if (!speakers.synthesis) return result;
	const sets = await rivalSets(bench, voice, clips);
	const measured = async (
		what: string,
		open: Opener | undefined,
	): Promise<Measures | undefined> => {
		if (!open) return undefined;
		const source = await open();
		try {
			const said = await sayAll(source, clips, bench.signal);
			return measure(
				recordings,
				await ears.all(`${voice}: ${what}`, said),
				sets,
			);
		} finally {
			await source.dispose?.();
		}
	};
	const m = await measured("synthesis", speakers.synthesis);
	const alone = await measured("embedding alone", speakers.alone);
	const teacher = await measured("teacher", speakers.teacher);
	if (!m) return result;
	result.goals = o.voice || o.tuned ? tunedGoals(m, alone) : baseGoals(m);
	if (teacher) result.goals.push(...retentionGoals(teacher, m));
	return {
		...result,
		measures: m,
		...(alone ? { alone } : {}),
		...(teacher ? { teacher } : {}),
	};
}

type Opener = () => Promise<VoiceSource>;

/** Who speaks for a voice: what is judged, the embedding alone, the teacher. */
async function speakersOf(
	{ options: o, base }: Bench,
	voice: string,
	recordings: readonly Utterance[],
): Promise<{ synthesis?: Opener; alone?: Opener; teacher?: Opener }> {
	const at = async (path: string) => {
		const own = join(path, voice);
		return (await exists(own)) ? own : path;
	};
	const under = o.voice ?? o.synth;
	if (!under) {
		if (!base) return {};
		const known = base.about.voices[voice];
		const embedding = known ?? centroid(embeddings(recordings));
		const say = (size: "student" | "teacher") => () =>
			baseVoice(base.dir, base.about, size, "base", embedding);
		return { synthesis: say("student"), teacher: say("teacher") };
	}
	const path = await at(under);
	const { alone, teacher } = o;
	const both = !alone && (await isBundle(path));
	return {
		synthesis: () => openVoice(path),
		...(both ? { alone: () => openVoice(path, true) } : {}),
		...(alone ? { alone: async () => openVoice(await at(alone)) } : {}),
		...(teacher ? { teacher: async () => openVoice(await at(teacher)) } : {}),
	};
}

async function rivalSets(
	{ options: o, base, ears }: Bench,
	voice: string,
	clips: readonly Clip[],
): Promise<RivalSet[]> {
	const sets: RivalSet[] = [];
	const known = Object.entries(base?.about.voices ?? {});
	if (known.length > 0)
		sets.push({
			name: "the base's mean embeddings",
			rivals: known
				.filter(([name]) => name !== voice)
				.map(([name, centre]) => ({
					name,
					clips: [],
					centre: Float32Array.from(centre),
				})),
		});
	for (const dir of o.rivals) {
		const rivals: Rival[] = [];
		for (const v of await voiceFolders(dir)) {
			// A base voice under test is no rival to itself.
			if (v.name === voice) continue;
			const sample = await sampleClips(v.dir, RIVAL_CLIPS, clips);
			rivals.push({
				name: v.name,
				clips: await ears.voice(`${v.name}: base voice`, sample),
			});
		}
		sets.push({ name: dir, rivals });
	}
	return sets;
}

function count(text: string, name: string): number {
	const n = Number(text);
	if (!Number.isSafeInteger(n) || n < 1)
		throw new WattvoxError("E_USAGE", `--${name} ${text} is not a count`);
	return n;
}
