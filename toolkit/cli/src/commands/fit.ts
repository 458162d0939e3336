import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Tuned, TuneOptions, WorkReport } from "@wattvox/cloud-trainer";
import { facts, pace, WattvoxError } from "@wattvox/core";
import type { LedgerSummary } from "@wattvox/energy";
import { type Books, booked } from "../booked.ts";
import { command, type Io } from "../command.ts";
import { epochLog } from "../epoch-log.ts";
import { FIT_OPTIONS, type FitArgs, fitSpec } from "../fit-options.ts";
import { planNote } from "../levers.ts";
import { percent } from "../lora-options.ts";
import { SCHEDULE_OPTIONS, scheduled } from "../scheduled.ts";
import { lapsOf, STEPS_PER_LAP } from "../training.ts";

export const fitCommand = command({
	usage: "fit",
	about: "Fine-tune any ONNX model on batches of one's own",
	examples: [
		[
			"fit --model m.onnx --data batches/ --validation held-out/ --recipe fit.json --out run/",
			"a folder of safetensors batches; losses, schedule and the rest as JSON",
		],
		[
			"fit --model m.onnx --data batches.mjs --recipe fit.json --target q_proj --target v_proj --rank 16 --out run/ --merge",
			"batches that a module yields; the adapter merged into run/model.onnx as well",
		],
		[
			"fit --model m.onnx --data batches/ --recipe fit.json --full --memory 2GB --out run/",
			"whole weights, within 2 GB by computing activations again",
		],
	],
	positionals: {},
	options: {
		model: { type: "string", demandOption: true, describe: "The ONNX model" },
		data: {
			type: "string",
			demandOption: true,
			describe:
				"Folder of .safetensors files, each a batch; or a .mjs file that exports train({ epoch, seed })",
		},
		validation: {
			type: "string",
			describe:
				"Held-out batches, likewise (a module exports validation): early stop, and the best parameters are written",
		},
		recipe: {
			type: "string",
			describe:
				"JSON: losses, schedule, groups, targets and more; see docs/TRAINING.md. Flags come before it",
		},
		out: {
			type: "string",
			demandOption: true,
			describe: "Folder for the result; an interrupted run in it goes on",
		},
		merge: {
			type: "boolean",
			default: false,
			describe: "Write the model with the adapter merged too",
		},
		threads: { type: "number", default: 2, describe: "Of one operator" },
		...FIT_OPTIONS,
		...SCHEDULE_OPTIONS,
	},
	async run(args, io) {
		const { TUNE } = await import("@wattvox/cloud-trainer");
		const spec = fitSpec(args as FitArgs, await readRecipe(args.recipe));
		const { value, schedule, text } = await scheduled(
			args,
			io,
			args.out,
			"15m",
			(io, report) =>
				booked(
					join(args.out, TUNE.ledger),
					async (books) => {
						const tuned = await work(
							{
								model: args.model,
								data: args.data,
								validation: args.validation,
								out: args.out,
								merge: args.merge,
								threads: args.threads,
								spec: spec as TuneOptions["spec"],
							},
							io,
							books,
							report,
						);
						return { tuned, energy: books.ledger.summary() };
					},
					{ job: `fit ${args.model}` },
				),
		);
		const { formatLedger } = await import("@wattvox/energy");
		const { tuned, energy } = value;
		io.result(
			{ ...summary(args.out, tuned, energy), schedule },
			`${facts([
				...(tuned.adapter ? [["adapter", tuned.adapter] as const] : []),
				...(tuned.model ? [["model", tuned.model] as const] : []),
				["steps", `${tuned.fit.steps}${ended(tuned)}`],
				[
					"trained",
					`${tuned.parameters} numbers in ${tuned.trained.length} places, ${percent(tuned.parameters / tuned.whole)} of the model's`,
				],
			])}\n\n${formatLedger(energy)}${text}`,
		);
	},
});

/** @throws WattvoxError E_FILE_MISSING, E_FILE_FORMAT */
async function readRecipe(path: string | undefined): Promise<object> {
	if (path === undefined) return {};
	const text = await readFile(path, "utf8").catch((cause) => {
		throw new WattvoxError("E_FILE_MISSING", `there is no ${path}`, { cause });
	});
	try {
		const recipe: unknown = JSON.parse(text);
		if (recipe && typeof recipe === "object" && !Array.isArray(recipe))
			return recipe;
	} catch {
		// told below
	}
	throw new WattvoxError("E_FILE_FORMAT", `${path} is no JSON object`);
}

/** Trains with a progress bar, and books it. @throws WattvoxError E_INTERRUPTED */
async function work(
	o: TuneOptions,
	io: Io,
	books: Books,
	report: (r: WorkReport) => void,
): Promise<Tuned> {
	const { TUNE, tuneModel, tuneSettings } = await import(
		"@wattvox/cloud-trainer"
	);
	const { steps, losses, loss } = tuneSettings(o.spec);
	const lowered = losses ? "loss" : loss;
	const task = io.progress.task("fit", steps);
	const left = pace(steps);
	let held = "";
	let epochs: Awaited<ReturnType<typeof epochLog>> | undefined;
	try {
		const tuned = await books.ledger.stage("fit", async (stage) => {
			const laps = [lapsOf(stage, "steps", STEPS_PER_LAP)];
			const log = join(o.out, TUNE.log);
			epochs = await epochLog(books.meter, "fit", log, STEPS_PER_LAP);
			const done = await tuneModel({
				...o,
				signal: io.signal,
				onStart({ epochSteps }) {
					if (epochSteps) laps.push(lapsOf(stage, "epoch", epochSteps));
				},
				onPlan: planNote(io),
				onStep({ step, values }) {
					for (const lap of laps) lap.step(step);
					epochs?.onStep({ step });
					const energy = books.spent(stage);
					report({ secondsLeft: left(step), ...books.cost() });
					task.update(step, {
						loss: (values[lowered] ?? Number.NaN).toPrecision(4),
						...(held && { "held-out": held }),
						...(energy !== undefined && { energy }),
					});
				},
				onValidation(loss) {
					held = loss.toPrecision(4);
				},
			});
			for (const lap of laps) lap.end(done.fit.steps);
			return done;
		});
		if (tuned.fit.interrupted)
			throw new WattvoxError(
				"E_INTERRUPTED",
				`fit stopped at step ${tuned.fit.steps}; its state is kept`,
			);
		task.finish(`${tuned.fit.steps} steps${ended(tuned)}`);
		return tuned;
	} catch (thrown) {
		task.fail();
		throw thrown;
	} finally {
		await epochs?.stop();
	}
}

/** Which step was best, where that was looked for. */
const ended = ({ fit: { best, dropped } }: Tuned): string =>
	`${best ? `; best at ${best.step}, held-out ${best.loss.toPrecision(4)}` : ""}${dropped ? `; ${dropped} dropped` : ""}`;

const summary = (out: string, tuned: Tuned, energy: LedgerSummary) => ({
	out,
	adapter: tuned.adapter ?? null,
	model: tuned.model ?? null,
	steps: tuned.fit.steps,
	best: tuned.fit.best ?? null,
	dropped: tuned.fit.dropped,
	trained: tuned.trained,
	parameters: tuned.parameters,
	share: tuned.parameters / tuned.whole,
	energy,
});
