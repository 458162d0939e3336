import { join } from "node:path";
import { facts } from "@wattvox/core";
import { booked } from "../booked.ts";
import { command } from "../command.ts";
import { SCHEDULE_OPTIONS, scheduled, type Work } from "../scheduled.ts";
import {
	type Done,
	epochSteps,
	LOGS,
	TRAINING_OPTIONS,
	trained,
	trainingRequest,
} from "../training.ts";

export const distilCommand = command({
	usage: "distil",
	about: "The adapted teacher into a small adapter on the student base",
	examples: [["distil --run run/", "after `train`"]],
	positionals: {},
	options: {
		run: {
			type: "string",
			demandOption: true,
			describe: "Folder that `train` wrote",
		},
		...TRAINING_OPTIONS,
		...SCHEDULE_OPTIONS,
	},
	async run(args, io) {
		const { ADAPT, distil, openRun, RUN } = await import(
			"@wattvox/cloud-trainer"
		);
		const run = await openRun(args.run);
		const distilled: Work<Done> = (io, report) =>
			booked(
				join(args.run, RUN.ledger),
				async (books) => {
					const { adapted, result } = await trained(
						"distil",
						join(args.run, LOGS.distil),
						(request) => distil(run, request),
						trainingRequest(args, io),
						io,
						books,
						report,
						epochSteps(run, args.batch ?? ADAPT.batch),
					);
					return { adapted, result, energy: books.ledger.summary() };
				},
				{ job: `distil ${run.name}` },
			);
		const { value, schedule, text } = await scheduled(
			args,
			io,
			args.run,
			"5m",
			distilled,
		);
		const { formatLedger } = await import("@wattvox/energy");
		const { adapted, result, energy } = value;
		io.result(
			{
				run: args.run,
				steps: adapted.fit.steps,
				best: adapted.fit.best ?? null,
				parameters: adapted.parameters,
				energy,
				schedule,
			},
			`${facts([
				["adapter", join(args.run, RUN.studentAdapter)],
				["training", result],
			])}\n\n${formatLedger(energy)}${text}`,
		);
	},
});
