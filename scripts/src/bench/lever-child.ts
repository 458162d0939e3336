import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import {
	ADAPT,
	type Adapted,
	type AdaptOptions,
	adaptStudentDirectly,
	adaptTeacher,
	BLANK,
	distil,
	fineTune,
	openRun,
	parametersOf,
	readWeights,
	teacherOutputs,
	type VoiceRun,
} from "@wattvox/cloud-trainer";
import { between, Meter, openPowerSource } from "@wattvox/energy";

/** What one process trains. */
export interface LeverTask {
	/** Folder of a prepared run. `keep` and `distilled` leave and need the teacher's adapter there. */
	run: string;
	/** The model that is trained; `distilled`: the student, by the run's adapted teacher. */
	model: "teacher" | "student" | "distilled";
	/** Leave the adapter in the run's folder. */
	keep?: boolean;
	steps: number;
	threads: number;
	seed: number;
	levers: Partial<AdaptOptions>;
	/** Never stop early: Infinity does not survive JSON. */
	patient?: boolean;
	/** End at the first validation whose log-mel L1 is no worse. */
	until?: number;
}

/** One validation. */
export interface LeverPoint {
	step: number;
	/** Held-out log-mel L1, nepers. */
	mel: number;
	/** Since the weights were loaded. */
	seconds: number;
	joules: number | null;
}

/** Resident bytes of a process on its way. */
export interface LeverMemory {
	/** With program and clip loaded, before any weight. */
	clip: number;
	/** Ready for the first step: weights, graphs and sessions are there, what building them left is collected. */
	ready: number;
	/** The most until then. */
	building: number;
	/** The most in all. */
	peak: number;
}

/** What it took. */
export interface LeverResult {
	steps: number;
	seconds: number;
	/** Median time of a step inside ONNX Runtime. */
	stepMs: number;
	/** Peak of the process above what it held when it was ready for its first step, bytes. */
	peak: number;
	/** Where the peak comes from. */
	memory: LeverMemory;
	joules: number | null;
	measured: boolean;
	curve: LeverPoint[];
	/** Numbers that were trained, and numbers that the model has at synthesis. */
	parameters: number;
	size: number;
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
		const size = await sizeOf(run, task.model);
		const clip = process.memoryUsage().rss;
		let ready = clip;
		let building = clip;
		const curve: LeverPoint[] = [];
		const times: number[] = [];
		const enough = new AbortController();
		const from = await meter.point();
		const points: Promise<void>[] = [];
		const { fit, parameters } = await train(task, run, work, {
			...ADAPT,
			// Behind the last step, the same for all: it is no lever.
			calibrate: false,
			steps: task.steps,
			threads: task.threads,
			seed: task.seed,
			// Often enough that a short run has its two points.
			validateEvery: Math.max(1, Math.min(20, Math.floor(task.steps / 2))),
			...task.levers,
			...(task.levers.rank && { alpha: 2 * task.levers.rank }),
			...(task.patient && { patience: Number.POSITIVE_INFINITY }),
			signal: enough.signal,
			onReady: () => {
				// What building left behind is none of the steps': it would hide as much of their memory.
				global.gc?.();
				ready = process.memoryUsage().rss;
				building = peakOf();
			},
			onStep: (r) => times.push(r.milliseconds),
			onValidation: (_loss, step, values) => {
				const mel = values["loss.mel"] ?? Number.NaN;
				points.push(
					meter.point().then((to) => {
						const { seconds, joules } = between(from, to);
						curve.push({ step, mel, seconds, joules });
					}),
				);
				if (task.until !== undefined && mel <= task.until) enough.abort();
			},
		});
		await Promise.all(points);
		const energy = between(from, await meter.point());
		times.sort((a, b) => a - b);
		return {
			steps: fit.steps,
			seconds: energy.seconds,
			stepMs: times[Math.floor(times.length / 2)] ?? Number.NaN,
			peak: peakOf() - ready,
			memory: { clip, ready, building, peak: peakOf() },
			joules: energy.joules,
			measured: source.describe().measured,
			curve: curve.sort((a, b) => a.step - b.step),
			parameters,
			size,
			segments: (fit.plan?.cuts.length ?? 0) + 1,
			cacheHits: fit.cache?.hits ?? 0,
		};
	} finally {
		await meter.stop();
		await source.close();
		await rm(work, { recursive: true, force: true });
	}
}

/** The most that this process has held, bytes. */
const peakOf = (): number => process.resourceUsage().maxRSS * 1024;

/** Numbers of a model as it speaks: without the posterior, and without the vocoder that all share. */
async function sizeOf(
	run: VoiceRun,
	model: LeverTask["model"],
): Promise<number> {
	const config = run.base[model === "teacher" ? "teacher" : "student"];
	const graph = teacherOutputs(config, BLANK, false);
	let sum = 0;
	for (const name of parametersOf(graph))
		sum += graph.initializers.get(name)?.data.length ?? 0;
	return sum;
}

async function train(
	task: LeverTask,
	run: VoiceRun,
	work: string,
	o: Omit<AdaptOptions, "work">,
): Promise<Adapted> {
	// These work in the run's folder, where an earlier attempt may have left its state.
	for (const file of await readdir(run.dir))
		if (file.endsWith(".ckpt")) await rm(join(run.dir, file));
	if (task.model === "distilled") return distil(run, o);
	if (task.keep) return fineTune(run, o);
	const adapt = task.model === "teacher" ? adaptTeacher : adaptStudentDirectly;
	return adapt(
		run.base,
		await readWeights(run.baseDir, task.model),
		{ examples: run.segments, speaker: run.speaker },
		{ ...o, work },
	);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href)
	process.stdout.write(
		JSON.stringify(await measureLever(JSON.parse(process.argv[2] ?? "{}"))),
	);
