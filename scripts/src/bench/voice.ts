import { parseArgs } from "node:util";
import {
	corpusWer,
	type Estimate,
	type WordErrors,
} from "@wattvox/cloud-trainer";
import { plainProgress, silentProgress, WattvoxError } from "@wattvox/core";
import {
	type Clip,
	folderVoice,
	readClips,
	type VoiceSource,
	voiceFolders,
} from "../eval/clips.ts";
import {
	baseGoals,
	estimate,
	type Goal,
	retentionGoals,
	tunedGoals,
} from "../eval/goals.ts";
import type { Rival } from "../eval/identity.ts";
import { type Measures, measure } from "../eval/measure.ts";
import { meanPitch } from "../eval/pitch.ts";
import {
	loadSpeakerEncoder,
	type SpeakerEncoder,
} from "../eval/speaker-encoder.ts";
import { textTable } from "../eval/text-table.ts";
import { listen, type Utterance } from "../eval/utterance.ts";

const USAGE = `npm run bench -- voice --recordings DIR [options]

DIR holds NAME.wav + NAME.txt pairs, or one such folder per voice.

  --synth DIR         wav files of the voice under test, by the same names or texts
  --tuned             judge as a fine-tuned voice (else as a voice of the base)
  --rivals DIR        recordings of the base's voices, a folder each
  --alone DIR         the same sentences by the speaker embedding alone
  --teacher DIR       the same sentences by the teacher
  --encoder FILE      the base's speaker.onnx
  --limit N           sentences per voice (default 50)
  --jobs N            recognisers at a time (default 2)
  --no-words          leave the recogniser out
  --json              for programs
`;

/** Recordings of one voice and what is measured of its synthesis. */
interface VoiceResult {
	voice: string;
	sentences: number;
	seconds: number;
	wer: Estimate | undefined;
	pitch: number;
	measures?: Measures;
	goals: Goal[];
}

/** `bench voice`: the tables that decide whether a voice is good. */
export async function run(argv: string[]): Promise<void> {
	const { values } = parseArgs({
		args: argv,
		allowNegative: true,
		options: {
			recordings: { type: "string" },
			synth: { type: "string" },
			tuned: { type: "boolean", default: false },
			rivals: { type: "string" },
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
	if (values.help) return void process.stdout.write(USAGE);
	if (!values.recordings) throw new WattvoxError("E_USAGE", USAGE);
	const encoder = values.encoder
		? await loadSpeakerEncoder(values.encoder)
		: undefined;
	try {
		const ears = new Ears(
			encoder,
			values.words,
			Number(values.jobs),
			values.json,
		);
		const limit = Number(values.limit);
		const results: VoiceResult[] = [];
		const rivals = values.rivals
			? await readRivals(values.rivals, limit, ears)
			: [];
		for (const { name, dir } of await voiceFolders(values.recordings)) {
			const clips = await readClips(dir, limit);
			const recordings = await ears.hear(`${name}: recordings`, clips);
			const result: VoiceResult = {
				voice: name,
				sentences: clips.length,
				seconds: recordings.reduce((n, r) => n + r.seconds, 0),
				wer: wordErrorRate(recordings),
				pitch: meanPitch(recordings),
				goals: [],
			};
			const others = rivals.filter((r) => r.name !== name);
			const judge = async (what: string, from: string) => {
				const source = await folderVoice(from);
				return measure(
					recordings,
					await ears.hear(`${name}: ${what}`, await sayAll(source, clips)),
					others,
				);
			};
			if (values.synth) {
				const m = await judge("synthesis", values.synth);
				const alone = values.alone
					? await judge("embedding alone", values.alone)
					: undefined;
				result.measures = m;
				result.goals = values.tuned ? tunedGoals(m, alone) : baseGoals(m);
				if (values.teacher)
					result.goals.push(
						...retentionGoals(await judge("teacher", values.teacher), m),
					);
			}
			results.push(result);
		}
		process.stdout.write(
			values.json
				? `${JSON.stringify(results, null, "\t")}\n`
				: report(results),
		);
	} finally {
		await encoder?.dispose();
	}
}

/** What every clip is listened to with. */
class Ears {
	private readonly encoder: SpeakerEncoder | undefined;
	private readonly words: boolean;
	private readonly jobs: number;
	private readonly progress;
	constructor(
		encoder: SpeakerEncoder | undefined,
		words: boolean,
		jobs: number,
		quiet: boolean,
	) {
		this.encoder = encoder;
		this.words = words;
		this.jobs = jobs;
		this.progress = quiet
			? silentProgress
			: plainProgress((l) => process.stderr.write(`${l}\n`));
	}
	async hear(
		label: string,
		clips: readonly Clip[],
		words = this.words,
	): Promise<Utterance[]> {
		const task = this.progress.task(label, clips.length);
		const heard = await listen(clips, {
			words,
			jobs: this.jobs,
			encoder: this.encoder,
			onDone: (n) => task.update(n),
		});
		task.finish();
		return heard;
	}
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

async function readRivals(
	dir: string,
	limit: number,
	ears: Ears,
): Promise<Rival[]> {
	const rivals: Rival[] = [];
	for (const v of await voiceFolders(dir))
		rivals.push({
			name: v.name,
			clips: await ears.hear(
				`${v.name}: base voice`,
				await readClips(v.dir, limit),
				false,
			),
		});
	return rivals;
}

function wordErrorRate(heard: readonly Utterance[]): Estimate | undefined {
	const scores: WordErrors[] = heard.flatMap((h) => (h.words ? [h.words] : []));
	return scores.length > 0 ? corpusWer(scores) : undefined;
}

function report(results: readonly VoiceResult[]): string {
	const table = textTable([
		[
			"voice",
			"sentences",
			"seconds",
			"pitch Hz",
			"WER recordings",
			"WER synthesis",
			"ratio",
			"MCD dB",
			"cosine",
		],
		...results.map((r) => {
			const m = r.measures;
			return [
				r.voice,
				`${r.sentences}`,
				r.seconds.toFixed(0),
				r.pitch.toFixed(0),
				r.wer ? estimate(r.wer) : "-",
				m?.wer ? estimate(m.wer.synth) : "-",
				m?.wer ? estimate(m.wer.ratio, 2) : "-",
				m ? estimate(m.mcd, 2) : "-",
				m?.cosine ? estimate(m.cosine.synth) : "-",
			];
		}),
	]);
	const verdicts = results
		.filter((r) => r.goals.length > 0)
		.map(
			(r) =>
				`\n${r.voice}\n${textTable([
					["goal", "measured", "met"],
					...r.goals.map((g) => [
						g.goal,
						g.measured,
						g.met === undefined ? "?" : g.met ? "yes" : "NO",
					]),
				])}`,
		);
	return `${table}${verdicts.join("")}`;
}
