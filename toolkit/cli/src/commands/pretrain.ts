import { join } from "node:path";
import type { Base, StageName } from "@wattvox/cloud-trainer";
import { WattvoxError } from "@wattvox/core";
import type { LedgerSummary, Stage } from "@wattvox/energy";
import { booked } from "../booked.ts";
import { command } from "../command.ts";
import { SCHEDULE_OPTIONS, scheduled, type Work } from "../scheduled.ts";

export const pretrainCommand = command({
	usage: "pretrain",
	about: "A base of your own, from a folder of recordings with transcripts",
	examples: [
		["pretrain --corpus LJSpeech-1.1 --out base/", "every stage, in order"],
		[
			"pretrain --corpus corpus/ --out base/ --stage teacher --stage student",
			"these alone; Ctrl-C and the same command resume",
		],
		[
			"pretrain --corpus corpus/ --out base/ --deadline 3d --carbon electricitymaps:DE --takes 30h",
			"within three days, pausing while the grid is dirty",
		],
	],
	positionals: {},
	options: {
		corpus: {
			type: "string",
			demandOption: true,
			describe:
				"Folder: LJSpeech, VCTK or AISHELL-3 layout, or wav files beside txt files",
		},
		out: { type: "string", demandOption: true, describe: "Folder of the base" },
		name: { type: "string", default: "en", describe: "The base's name" },
		language: { type: "string", default: "en", describe: "BCP 47 tag" },
		stage: {
			type: "array",
			string: true,
			default: [],
			describe: "Only this one; give it again for more",
		},
		scale: {
			type: "number",
			default: 1,
			describe: "Of the steps that the shipped base was trained with",
		},
		"align-with": {
			type: "string",
			describe: "A base whose aligner starts the alignment",
		},
		kl: {
			type: "string",
			default: "0.1:1",
			describe:
				"Weight of KL at first and in the end; it rises from 15 % to 65 % of the steps",
		},
		threads: { type: "number", default: 2, describe: "Of one operator" },
		seed: { type: "number", default: 1, describe: "Of everything random" },
		...SCHEDULE_OPTIONS,
	},
	async run(args, io) {
		const { pretrain, STAGES } = await import("@wattvox/cloud-trainer");
		const stages = args.stage.map((wanted): StageName => {
			const stage = STAGES.find((s) => s === wanted);
			if (stage) return stage;
			throw new WattvoxError(
				"E_USAGE",
				`no stage ${wanted}: ${STAGES.join(", ")}`,
			);
		});
		const kl = weightsOf(args.kl);
		const ledgerPath = join(args.out, "work", "energy.jsonl");
		const trained: Work<{ base: Base; energy: LedgerSummary }> = (io, report) =>
			booked(
				ledgerPath,
				async ({ ledger, spent, cost }) => {
					let current: Stage | undefined;
					const base = await pretrain({
						corpus: args.corpus,
						out: args.out,
						name: args.name,
						language: args.language,
						scale: args.scale,
						threads: args.threads,
						seed: args.seed,
						kl,
						progress: io.progress,
						energy: () => {
							report(cost());
							return current && spent(current);
						},
						book: (name, work) =>
							ledger.stage(name, (stage) => {
								current = stage;
								return work();
							}),
						signal: io.signal,
						...(stages.length > 0 && { stages }),
						...(args["align-with"] !== undefined && {
							alignWith: args["align-with"],
						}),
					});
					return { base, energy: ledger.summary() };
				},
				{ job: `pretrain ${args.name}` },
			);
		const { value, schedule, text } = await scheduled(
			args,
			io,
			args.out,
			"8h",
			trained,
		);
		const { formatLedger } = await import("@wattvox/energy");
		io.result(
			{
				base: args.out,
				name: value.base.name,
				voices: Object.keys(value.base.voices),
				energy: value.energy,
				schedule,
			},
			`${formatLedger(value.energy)}\n\n${args.out}${text}`,
		);
	},
});

/** "0.1:1" as two weights. @throws WattvoxError E_USAGE unless they are from 0 on and do not fall */
function weightsOf(text: string): { first: number; last: number } {
	const parts = text.split(":").map((p) => (p.trim() ? Number(p) : Number.NaN));
	const [first = Number.NaN, last = Number.NaN] = parts;
	if (parts.length === 2 && first >= 0 && last >= first) return { first, last };
	throw new WattvoxError(
		"E_USAGE",
		`--kl ${text}: give two weights that do not fall, like 0.1:1`,
	);
}
