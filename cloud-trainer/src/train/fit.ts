import { mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import type { Graph, Tensor } from "@wattvox/onnx";
import { averageIn, WeightAverage } from "./average.ts";
import { judge } from "./best.ts";
import {
	type Best,
	type Checkpoint,
	loadCheckpoint,
	saveCheckpoint,
} from "./checkpoint.ts";
import type { FitOptions, FitResult } from "./fit-options.ts";
import { FitRun, scalarsOf, VALIDATE_EVERY } from "./fit-run.ts";
import type { Feeds } from "./parts.ts";
import { scheduleOf } from "./schedule.ts";

export type {
	FitMetric,
	FitOptions,
	FitResult,
	StepReport,
} from "./fit-options.ts";

/** Parameters of a graph: its float initialisers with a name of their own (constants have a serial number). */
export function parametersOf(graph: Graph): string[] {
	return [...graph.initializers]
		.filter(
			([name, t]) => t.dtype === "float32" && !/(^|\.)const_\d+$/.test(name),
		)
		.map(([name]) => name);
}

/**
 * Trains a graph: steps, validation, checkpoints, log. An abort ends it after the running step with a
 * checkpoint written; the same call resumes.
 */
export async function fit(o: FitOptions): Promise<FitResult> {
	if (o.log) await mkdir(dirname(o.log), { recursive: true });
	const resumed = o.checkpoint ? await loadCheckpoint(o.checkpoint) : undefined;
	const finished = resumed && alreadyDone(o, resumed);
	if (finished) return finished;
	const run = await FitRun.prepare(o, resumed?.scale);
	for (const [name, tensor] of [
		...(o.initial ?? []),
		...(resumed?.state ?? []),
	])
		if (run.training.state.has(name)) run.training.state.set(name, tensor);
	const { stepper, training } = run;
	const schedule =
		typeof o.schedule === "function"
			? o.schedule
			: scheduleOf(o.schedule, o.steps);
	const began = performance.now();
	const seconds = () =>
		(resumed?.seconds ?? 0) + (performance.now() - began) / 1000;
	let step = resumed?.step ?? 0;
	let dropped = 0;
	let drifted = false;
	let last: number | undefined;
	let best = resumed?.best;
	const average =
		o.average === undefined
			? undefined
			: new WeightAverage(o.average, resumed?.state);
	const save = async () => {
		if (o.checkpoint)
			await saveCheckpoint(o.checkpoint, {
				step,
				state: new Map([
					...(await stepper.state()),
					...(average?.saved() ?? []),
				]),
				seconds: seconds(),
				joules: null,
				...(training.scale && { scale: training.scale.scale }),
				...(best && { best }),
			});
	};
	const validate = async () => {
		const { values, judged, loss } = await run.validate(step);
		const better = !best || judged < best.loss;
		best = judge(best, judged, step, o.patience);
		if (better && o.keepBest)
			best.parameters = await stepper.state(training.parameters);
		o.onValidation?.(loss, step, values);
		drifted = await run.drifted(step);
	};
	await stepper.start();
	try {
		o.onStart?.(stepper);
		// The next batch is made while this one computes in the worker. If it fails, that is seen when
		// its turn comes, or never when the run ends before.
		const ahead = (at: number) => {
			const made = (async () => run.feedsOf(await o.batch(at), at))();
			made.catch(() => undefined);
			return made;
		};
		let next = step < o.steps && !best?.stopped ? ahead(step) : undefined;
		while (step < o.steps && !best?.stopped && !o.signal?.aborted && !drifted) {
			const lr = schedule(step);
			const feeds = (await next) as Feeds;
			const running = training.run(stepper, feeds, lr, step + 1);
			// A batch that itself runs a program queues behind the step, which is as it should be.
			if (step + 1 < o.steps) next = ahead(step + 1);
			const { outputs, applied, milliseconds } = await running;
			if (!applied) dropped++;
			const values = scalarsOf(outputs);
			last = values[run.loss];
			step++;
			o.onStep?.({ step, steps: o.steps, lr, values, milliseconds, applied });
			if (step % 20 === 0 || step === 1)
				await run.note({ step, lr, ms: Math.round(milliseconds), ...values });
			average?.add(await stepper.state(training.parameters), step);
			if (run.validates && step % (o.validateEvery ?? VALIDATE_EVERY) === 0)
				await (average ? average.during(stepper, validate) : validate());
			if (step % (o.checkpointEvery ?? 500) === 0) await save();
		}
		if (o.signal?.aborted || drifted) await next?.catch(() => undefined);
		await save();
		return {
			parameters:
				(o.keepBest && best?.parameters) ||
				average?.copy() ||
				(await stepper.state(training.parameters)),
			...bestOf(o, best),
			steps: step,
			seconds: seconds(),
			interrupted: o.signal?.aborted ?? false,
			dropped,
			...(last !== undefined && { loss: last }),
			...(training.plan && { plan: training.plan }),
			...(run.cache && {
				cache: { hits: run.cache.hits, misses: run.cache.misses },
			}),
			...(o.drift && { drifted }),
		};
	} finally {
		await stepper.stop();
	}
}

/** What was best, in the judge's own terms. */
const bestOf = (
	o: FitOptions,
	best: Best | undefined,
): Pick<FitResult, "best"> => {
	const sign = o.metric?.best === "highest" ? -1 : 1;
	return best ? { best: { step: best.step, loss: sign * best.loss } } : {};
};

/** The end of a training whose checkpoint has it all: nothing is compiled to take no step. */
function alreadyDone(o: FitOptions, c: Checkpoint): FitResult | undefined {
	if (c.step < o.steps && !c.best?.stopped) return undefined;
	const kept =
		(o.keepBest && c.best?.parameters) || averageIn(c.state) || c.state;
	const parameters = new Map<string, Tensor>();
	for (const name of o.trainable) {
		const t = kept.get(name);
		if (!t) return undefined;
		parameters.set(name, t);
	}
	return {
		parameters,
		...bestOf(o, c.best),
		steps: c.step,
		seconds: c.seconds,
		interrupted: o.signal?.aborted ?? false,
		dropped: 0,
	};
}
