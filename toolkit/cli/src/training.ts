import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type {
	Adapted,
	AdaptRequest,
	PrepareOptions,
	VoiceRun,
	WorkReport,
} from "@wattvox/cloud-trainer";
import { formatSeconds, pace, WattvoxError } from "@wattvox/core";
import type { LedgerSummary, Stage } from "@wattvox/energy";
import type { Books } from "./booked.ts";
import type { Io, OptionTable } from "./command.ts";
import { epochLog } from "./epoch-log.ts";
import { LEVERS, type LeverArgs, leverRequest } from "./levers.ts";

/** What every command that trains takes. */
export const TRAINING_OPTIONS = {
	steps: {
		type: "number",
		describe: "At most so many; it stops early when held-out speech says so",
	},
	threads: {
		type: "number",
		describe: "Of one operator (2; with `train --lean` 1)",
	},
	seed: { type: "number", default: 1, describe: "Of everything random" },
	...LEVERS,
} as const satisfies OptionTable;

/** Logs that the trainings keep in a run's folder: JSON lines. */
export const LOGS = {
	"fine-tune": "teacher-lora.log.jsonl",
	distil: "student-lora.log.jsonl",
	student: "student-direct.log.jsonl",
} as const;

/** Points of a curve: [step, value]. */
export type Points = [number, number][];

/** A training's end, with the curves it drew. */
export interface Trained {
	adapted: Adapted;
	training: Points;
	heldOut: Points;
	/** A few words on how it went. */
	result: string;
}

/** What a training command has when it is done. */
export interface Done {
	adapted: Adapted;
	result: string;
	energy: LedgerSummary;
}

/** The base that `--base` means: a folder, or else the English one that ships. */
export async function baseDir(base: string | undefined): Promise<string> {
	if (base !== undefined) return base;
	const shipped = await import("@wattvox/base-en");
	return shipped.baseDir;
}

/** The run in a folder if there is one, made of the same text; otherwise it is prepared now. */
export async function openOrPrepare(
	o: PrepareOptions,
	io: Io,
	books: Books,
): Promise<VoiceRun> {
	const { openRun, prepareRun, RUN } = await import("@wattvox/cloud-trainer");
	if (existsSync(join(o.out, RUN.description))) {
		const run = await openRun(o.out);
		const text = await readFile(o.text, "utf8").catch(() => undefined);
		if (run.name !== o.name || (text !== undefined && text !== run.text))
			throw new WattvoxError(
				"E_USAGE",
				`${o.out} holds the run of another voice, ${run.name}: give another --out`,
			);
		io.progress.note(`going on with the run in ${o.out}`);
		return run;
	}
	const task = io.progress.task("prepare");
	try {
		const prepared = await books.ledger.stage("prepare", () => prepareRun(o));
		task.finish(preparedResult(prepared.run));
		for (const { text, why } of prepared.skipped)
			io.progress.note(`left out ${JSON.stringify(text)}: ${why}`);
		return prepared.run;
	} catch (thrown) {
		task.fail();
		throw thrown;
	}
}

/** What a preparation came to, in a few words. */
export function preparedResult({ base, segments }: VoiceRun): string {
	const { hop, sampleRate } = base.audio;
	const frames = segments.reduce((sum, s) => sum + s.frames, 0);
	return `${segments.length} segments, ${formatSeconds((frames * hop) / sampleRate)} of speech`;
}

/** What a training log tells of the steps before `until`: those of an interrupted run. */
async function earlier(
	log: string,
	until = Number.POSITIVE_INFINITY,
): Promise<{ training: Points; heldOut: Points }> {
	const out: { training: Points; heldOut: Points } = {
		training: [],
		heldOut: [],
	};
	for (const line of (await readFile(log, "utf8").catch(() => "")).split(
		"\n",
	)) {
		if (!line) continue;
		const { step, loss, validation } = JSON.parse(line);
		if (step >= until) continue;
		if (validation) out.heldOut.push([step, validation.loss]);
		else out.training.push([step, loss]);
	}
	return out;
}

/**
 * Runs one training with its progress and books it.
 * @param log the log that the training keeps in its run's folder
 * @param report told after each step, for a schedule
 * @param epochSteps steps in which as many sentences are drawn as there are; undefined: no epochs are booked
 * @throws WattvoxError E_INTERRUPTED after an abort, with a checkpoint to go on from
 */
export async function trained(
	name: keyof typeof LOGS,
	log: string,
	work: (request: AdaptRequest) => Promise<Adapted>,
	request: AdaptRequest,
	io: Io,
	books: Books,
	report: (r: WorkReport) => void = () => undefined,
	epochSteps?: number,
): Promise<Trained> {
	const { ADAPT } = await import("@wattvox/cloud-trainer");
	const most = request.steps ?? ADAPT.steps;
	const task = io.progress.task(name, most);
	const left = pace(most);
	const training: Points = [];
	const heldOut: Points = [];
	const epochs = await epochLog(
		books.meter,
		name,
		log,
		epochSteps ?? STEPS_PER_LAP,
	);
	try {
		const adapted = await books.ledger.stage(name, async (stage) => {
			const laps = [
				lapsOf(stage, "steps", STEPS_PER_LAP),
				...(epochSteps ? [lapsOf(stage, "epoch", epochSteps)] : []),
			];
			const done = await work({
				...request,
				signal: io.signal,
				onStep({ step, values }) {
					for (const lap of laps) lap.step(step);
					epochs.onStep({ step });
					const loss = values.loss ?? Number.NaN;
					training.push([step, loss]);
					const energy = books.spent(stage);
					report({ secondsLeft: left(step), ...books.cost() });
					task.update(step, {
						loss: loss.toFixed(3),
						...(energy !== undefined && { energy }),
					});
				},
				onValidation: (loss, step) => void heldOut.push([step, loss]),
			});
			for (const lap of laps) lap.end(done.fit.steps);
			return done;
		});
		const before = await earlier(log, training[0]?.[0]);
		training.unshift(...before.training);
		heldOut.unshift(...before.heldOut);
		const { steps, interrupted, best } = adapted.fit;
		if (interrupted)
			throw new WattvoxError(
				"E_INTERRUPTED",
				`${name} stopped at step ${steps}; its state is kept`,
			);
		const first = heldOut[0]?.[1];
		const result = [
			`${steps} steps`,
			...(best
				? [
						`held-out loss ${first === undefined || heldOut.length < 2 ? "" : `${first.toFixed(3)} to `}${best.loss.toFixed(3)}`,
					]
				: []),
		].join(", ");
		task.finish(result);
		return { adapted, training, heldOut, result };
	} catch (thrown) {
		task.fail();
		throw thrown;
	} finally {
		await epochs.stop();
	}
}

/** Steps that the ledger books together: as many as between two validations. */
export const STEPS_PER_LAP = 20;

/**
 * Books a stage's steps in laps of `size`, steps by their numbers and epochs by theirs. A run that goes
 * on from a checkpoint begins with the step after it.
 */
export function lapsOf(stage: Stage, kind: "steps" | "epoch", size: number) {
	let first: number | undefined;
	const book = (from: number, to: number) => {
		if (kind === "steps") stage.lap(kind, from, to);
		else stage.lap(kind, Math.ceil(from / size), Math.ceil(to / size));
	};
	return {
		step(step: number) {
			first ??= step;
			if (step % size !== 0) return;
			book(first, step);
			first = undefined;
		},
		end(last: number) {
			if (first !== undefined && first <= last) book(first, last);
		},
	};
}

/** Steps in which as many sentences are drawn as a run's clip has to train on. */
export function epochSteps(run: VoiceRun, batch: number): number {
	const sentences = run.segments.filter((s) => s.split === "train").length;
	return Math.max(1, Math.ceil(sentences / batch));
}

/** Request fields of the training options that were given. @throws WattvoxError E_USAGE */
export function trainingRequest(
	args: LeverArgs & {
		steps?: number | undefined;
		threads?: number | undefined;
		seed: number;
	},
	io: Io,
): AdaptRequest {
	const { steps, threads, seed } = args;
	return {
		seed,
		...(threads !== undefined && { threads }),
		...(steps !== undefined && { steps }),
		...leverRequest(args, io),
	};
}
