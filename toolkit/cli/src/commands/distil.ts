import { join } from "node:path";
import { facts } from "@wattvox/core";
import { booked } from "../booked.ts";
import { command } from "../command.ts";
import {
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
	},
	async run(args, io) {
		const { distil, openRun, RUN } = await import("@wattvox/cloud-trainer");
		const run = await openRun(args.run);
		await booked(join(args.run, RUN.ledger), async (books) => {
			const { adapted, result } = await trained(
				"distil",
				join(args.run, LOGS.distil),
				(request) => distil(run, request),
				trainingRequest(args),
				io,
				books,
			);
			const { formatLedger } = await import("@wattvox/energy");
			const summary = books.ledger.summary();
			io.result(
				{
					run: args.run,
					steps: adapted.fit.steps,
					best: adapted.fit.best ?? null,
					parameters: adapted.parameters,
					energy: summary,
				},
				`${facts([
					["adapter", join(args.run, RUN.studentAdapter)],
					["training", result],
				])}\n\n${formatLedger(summary)}`,
			);
		});
	},
});
