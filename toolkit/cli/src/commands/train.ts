import { existsSync } from "node:fs";
import { basename, extname, join } from "node:path";
import type { Adapted, TaughtRun, WorkReport } from "@wattvox/cloud-trainer";
import { facts, WattvoxError } from "@wattvox/core";
import { type Books, booked } from "../booked.ts";
import { command, type Io } from "../command.ts";
import { type LeverArgs, leanly } from "../levers.ts";
import { SCHEDULE_OPTIONS, scheduled } from "../scheduled.ts";
import {
	openOrAsk,
	TEACHER_ENERGY,
	TEACHER_OPTIONS,
	type TeacherArgs,
} from "../teacher.ts";
import {
	baseDir,
	epochSteps,
	LOGS,
	openOrPrepare,
	TRAINING_OPTIONS,
	trained,
	trainingRequest,
} from "../training.ts";

export const train = command({
	usage: "train",
	about:
		"Fine-tune on a recording, or on the speech of a server; Ctrl-C and resume at will",
	examples: [
		[
			'train --clip amy.wav --text amy.txt --out run/ --consent "Amy agreed."',
			"from a recording and its transcript",
		],
		[
			"train --clip amy.wav --text amy.txt --out run/ --lean",
			"for the least energy: the small model alone, its decoder alone; `export` comes next",
		],
		[
			"train --clip amy.wav --text amy.txt --out run/ --deadline 07:00 --carbon uk --takes 2h",
			"done by seven, in the hours in which the grid is cleanest",
		],
		[
			'train --clip amy.wav --text amy.txt --out run/ --deadline 2d --window "* 22-23,0-5 * * *" --tariff csv:tariff.csv',
			"at night only, in the cheapest hours of two days",
		],
		[
			'train --teacher http://gpu:9880/tts --teacher-reference /voices/amy.wav --teacher-reference-text "Good morning." --out run/ --name amy --consent "Amy agreed."',
			"a GPT-SoVITS voice to the edge: it speaks, our student learns; `export` comes next",
		],
		[
			"train --teacher http://host:8000/v1/audio/speech --teacher-voice amy --texts sentences.txt --teacher-minutes 5 --out run/ --name amy --whole",
			"OpenAI's API; five minutes of your own sentences, all weights (key: WATTVOX_TEACHER_KEY)",
		],
	],
	positionals: {},
	options: {
		student: {
			type: "boolean",
			default: false,
			describe:
				"Train the edge's model at once, without our teacher between; `export` comes next",
		},
		lean: {
			type: "boolean",
			default: false,
			describe:
				"--student --refit --decoder-only --no-bucketing --batch 2 --learning-rate 0.006 --average 0.95 --steps 60 --threads 1: the least energy; the speaking rate stays the base's",
		},
		clip: {
			type: "string",
			describe: "The recording: wav, 20 s to 10 min, one voice",
		},
		text: { type: "string", describe: "What it says: plain text file" },
		out: {
			type: "string",
			demandOption: true,
			describe: "Folder of the run; one that was interrupted goes on",
		},
		base: {
			type: "string",
			describe: "Folder of a base; by default the English one that ships",
		},
		name: {
			type: "string",
			describe: "The voice's name; by default the recording's",
		},
		consent: {
			type: "string",
			describe: "What the speaker agreed to; the bundle names it",
		},
		rank: { type: "number", default: 16, describe: "Of the LoRA" },
		...TEACHER_OPTIONS,
		...TRAINING_OPTIONS,
		...SCHEDULE_OPTIONS,
	},
	async run(args, io) {
		const { RUN } = await import("@wattvox/cloud-trainer");
		const base = await baseDir(args.base);
		const { teacher } = args;
		const name = args.name ?? nameOf(args.clip ?? teacher ?? "");
		const learn =
			teacher === undefined
				? await fromRecording(args, base, name)
				: fromTeacher({ ...args, teacher }, base, name);
		const { value, schedule, text } = await scheduled(
			args,
			io,
			args.out,
			"5m",
			(io, report) =>
				booked(
					join(args.out, RUN.ledger),
					async (books) => ({
						...(await learn(io, books, report)),
						energy: books.ledger.summary(),
					}),
					{ job: `train ${name}` },
				),
		);
		const { formatLedger } = await import("@wattvox/energy");
		const { adapted, result, energy, adapter, taught } = value;
		io.result(
			{
				run: args.out,
				steps: adapted.fit.steps,
				best: adapted.fit.best ?? null,
				parameters: adapted.parameters,
				energy,
				...(taught && {
					teacher: {
						url: taught.run.teacher,
						segments: taught.run.segments.length,
						discarded: taught.discarded,
						energy: null,
					},
				}),
				schedule,
			},
			`${facts([
				["run", args.out],
				["adapter", join(args.out, adapter)],
				["training", result],
			])}\n\n${formatLedger(energy)}${taught ? `\n${TEACHER_ENERGY}` : ""}${text}`,
		);
	},
});

/** What training leaves: the adapter's folder within the run's, and a teacher's run. */
interface Learned {
	adapted: Adapted;
	result: string;
	adapter: string;
	taught?: TaughtRun;
}

type Learn = (
	io: Io,
	books: Books,
	report: (r: WorkReport) => void,
) => Promise<Learned>;

type Args = LeverArgs & {
	clip?: string | undefined;
	text?: string | undefined;
	out: string;
	consent?: string | undefined;
	steps?: number | undefined;
	threads?: number | undefined;
	seed: number;
	rank: number;
	student: boolean;
	lean: boolean;
};

const rankOf = ({ rank }: Args) => ({ rank, alpha: 2 * rank });

/**
 * LoRA from a recording, on our teacher or on the student at once.
 * @throws WattvoxError E_USAGE without clip or text; as `checkRecording`, where there is no run yet
 */
async function fromRecording(
	args: Args,
	base: string,
	name: string,
): Promise<Learn> {
	const { clip, text, out, consent } = args;
	if (clip === undefined || text === undefined)
		throw new WattvoxError(
			"E_USAGE",
			"train takes a recording (--clip, --text), or --teacher",
		);
	const { checkRecording, RUN } = await import("@wattvox/cloud-trainer");
	// before anything waits for its hour, is booked, or lies in a folder
	if (!existsSync(join(out, RUN.description)))
		await checkRecording({ clip, text, base, name });
	return async (io, books, report) => {
		const { ADAPT, fineTune, LEAN, learnDirectly } = await import(
			"@wattvox/cloud-trainer"
		);
		const small = args.student || args.lean;
		const stage = small ? "student" : "fine-tune";
		const request = {
			...(args.lean && leanly(LEAN, args)),
			...trainingRequest(args, io),
			...rankOf(args),
		};
		const run = await openOrPrepare(
			{
				...{ clip, text, out, base, name },
				signal: io.signal,
				...(consent !== undefined && { consent }),
			},
			io,
			books,
		);
		const { adapted, result } = await trained(
			stage,
			join(out, LOGS[stage]),
			(request) => (small ? learnDirectly : fineTune)(run, request),
			request,
			io,
			books,
			report,
			epochSteps(run, request.batch ?? ADAPT.batch),
		);
		return {
			adapted,
			result,
			adapter: small ? RUN.studentAdapter : RUN.teacherAdapter,
		};
	};
}

/** The student from what a speech server speaks. */
function fromTeacher(
	args: Args & TeacherArgs,
	base: string,
	name: string,
): Learn {
	return async (io, books, report) => {
		const { ADAPT, LEAN, learnDirectly, RUN } = await import(
			"@wattvox/cloud-trainer"
		);
		const request = {
			...(args.lean && leanly(LEAN, args)),
			...trainingRequest(args, io),
			...rankOf(args),
		};
		const taught = await openOrAsk(args, base, name, io, books);
		const { adapted, result } = await trained(
			"student",
			join(args.out, LOGS.student),
			(request) => learnDirectly(taught.run, request),
			request,
			io,
			books,
			report,
			epochSteps(taught.run, request.batch ?? ADAPT.batch),
		);
		return { adapted, result, adapter: RUN.studentAdapter, taught };
	};
}

/** A voice's name from a recording's path or a server's address. */
function nameOf(from: string): string {
	const plain =
		/^https?:/.test(from) && URL.canParse(from)
			? new URL(from).hostname
			: basename(from, extname(from));
	return plain.replace(/[^A-Za-z0-9_-]/g, "-").slice(0, 64);
}
