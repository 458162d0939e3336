import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import {
	ADAPT,
	type AdaptOptions,
	adaptStudentDirectly,
	adaptTeacher,
	openRun,
	readWeights,
} from "@wattvox/cloud-trainer";
import { between, Meter, openPowerSource } from "@wattvox/energy";

/** What one process trains. */
export interface LeverTask {
	/** Folder of a prepared run. */
	run: string;
	size: "teacher" | "student";
	steps: number;
	threads: number;
	levers: Partial<AdaptOptions>;
	/** Never stop early: Infinity does not survive JSON. */
	patient?: boolean;
}

/** What it took. */
export interface LeverResult {
	steps: number;
	seconds: number;
	/** Median time of a step inside ONNX Runtime. */
	stepMs: number;
	/** Peak of the process above what it held with weights and clip loaded, bytes. */
	peak: number;
	joules: number | null;
	measured: boolean;
	/** Held-out log-mel L1 (nepers): at the first validation and at the best. */
	first: number;
	best: number;
	parameters: number;
	segments: number;
	cacheHits: number;
}

/** Trains once, in this process, and tells what it took. */
export async function measureLever(task: LeverTask): Promise<LeverResult> {
	const work = await mkdtemp(join(tmpdir(), "wattvox-lever-"));
	const { source } = await openPowerSource();
	const meter = new Meter(source);
	await meter.start();
	try {
		const run = await openRun(task.run);
		const weights = await readWeights(run.baseDir, task.size);
		const idle = process.memoryUsage().rss;
		const mel: number[] = [];
		const times: number[] = [];
		const from = await meter.point();
		const adapt = task.size === "teacher" ? adaptTeacher : adaptStudentDirectly;
		const { fit, parameters } = await adapt(
			run.base,
			weights,
			{ examples: run.segments, speaker: run.speaker },
			{
				...ADAPT,
				work,
				steps: task.steps,
				threads: task.threads,
				// Often enough that a short run has its two points.
				validateEvery: Math.max(1, Math.min(20, Math.floor(task.steps / 2))),
				...task.levers,
				...(task.patient && { patience: Number.POSITIVE_INFINITY }),
				onStep: (r) => times.push(r.milliseconds),
				onValidation: (_loss, _step, values) =>
					mel.push(values["loss.mel"] ?? Number.NaN),
			},
		);
		const energy = between(from, await meter.point());
		times.sort((a, b) => a - b);
		return {
			steps: fit.steps,
			seconds: energy.seconds,
			stepMs: times[Math.floor(times.length / 2)] ?? Number.NaN,
			peak: process.resourceUsage().maxRSS * 1024 - idle,
			joules: energy.joules,
			measured: source.describe().measured,
			first: mel[0] ?? Number.NaN,
			best: Math.min(...mel),
			parameters,
			segments: (fit.plan?.cuts.length ?? 0) + 1,
			cacheHits: fit.cache?.hits ?? 0,
		};
	} finally {
		await meter.stop();
		await source.close();
		await rm(work, { recursive: true, force: true });
	}
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href)
	process.stdout.write(
		JSON.stringify(await measureLever(JSON.parse(process.argv[2] ?? "{}"))),
	);
