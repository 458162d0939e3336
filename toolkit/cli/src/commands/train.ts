import { basename, extname, join } from "node:path";
import { facts } from "@wattvox/core";
import { booked } from "../booked.ts";
import { command } from "../command.ts";
import { SCHEDULE_OPTIONS, scheduled, type Work } from "../scheduled.ts";
import {
	baseDir,
	type Done,
	epochSteps,
	LOGS,
	openOrPrepare,
	TRAINING_OPTIONS,
	trained,
	trainingRequest,
} from "../training.ts";

export const train = command({
	usage: "train",
	about: "Fine-tune the teacher on a recording; Ctrl-C and resume at will",
	examples: [
		[
			'train --clip amy.wav --text amy.txt --out run/ --consent "Amy agreed."',
			"from a recording and its transcript",
		],
		[
			"train --clip amy.wav --text amy.txt --out run/ --deadline 07:00 --carbon uk --takes 2h",
			"done by seven, in the hours in which the grid is cleanest",
		],
		[
			'train --clip amy.wav --text amy.txt --out run/ --deadline 2d --window "* 22-23,0-5 * * *" --tariff csv:tariff.csv',
			"at night only, in the cheapest hours of two days",
		],
	],
	positionals: {},
	options: {
		clip: {
			type: "string",
			demandOption: true,
			describe: "The recording: wav, 20 s to 10 min, one voice",
		},
		text: {
			type: "string",
			demandOption: true,
			describe: "What it says: plain text file",
		},
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
		...TRAINING_OPTIONS,
		...SCHEDULE_OPTIONS,
	},
	async run(args, io) {
		const { ADAPT, fineTune, RUN } = await import("@wattvox/cloud-trainer");
		const base = await baseDir(args.base);
		const name =
			args.name ??
			basename(args.clip, extname(args.clip)).replace(/[^A-Za-z0-9_-]/g, "-");
		const fineTuned: Work<Done> = (io, report) =>
			booked(
				join(args.out, RUN.ledger),
				async (books) => {
					const run = await openOrPrepare(
						{
							clip: args.clip,
							text: args.text,
							out: args.out,
							base,
							name,
							signal: io.signal,
							...(args.consent !== undefined && { consent: args.consent }),
						},
						io,
						books,
					);
					const { adapted, result } = await trained(
						"fine-tune",
						join(args.out, LOGS["fine-tune"]),
						(request) => fineTune(run, request),
						{
							...trainingRequest(args, io),
							rank: args.rank,
							alpha: 2 * args.rank,
						},
						io,
						books,
						report,
						epochSteps(run, ADAPT.batch),
					);
					return { adapted, result, energy: books.ledger.summary() };
				},
				{ job: `train ${name}` },
			);
		const { value, schedule, text } = await scheduled(
			args,
			io,
			args.out,
			"5m",
			fineTuned,
		);
		const { formatLedger } = await import("@wattvox/energy");
		const { adapted, result, energy } = value;
		io.result(
			{
				run: args.out,
				steps: adapted.fit.steps,
				best: adapted.fit.best ?? null,
				parameters: adapted.parameters,
				energy,
				schedule,
			},
			`${facts([
				["run", args.out],
				["adapter", join(args.out, RUN.teacherAdapter)],
				["training", result],
			])}\n\n${formatLedger(energy)}${text}`,
		);
	},
});
