import { median, quantile } from "../machine.ts";
import type { StepAnswer, StepFacts } from "./child.ts";
import type { Mode, ModelName } from "./models.ts";
import type { OpTime } from "./profile.ts";
import { Side } from "./sides.ts";

/** What one side took. */
export interface SideFacts {
	/** Of a step: median and quartiles over all rounds, ms. */
	ms: number;
	low: number;
	high: number;
	/** Processor time of a step, all threads, ms: what a busy machine does not stretch. */
	cpuMs: number;
	/** Largest resident set above that when it was ready for its first step, bytes. */
	memory: number;
	/** Largest resident set of the whole process, bytes. */
	whole: number;
}

/** One model in one mode. */
export interface Measured {
	model: ModelName;
	mode: Mode;
	/** Numbers that a step moves. */
	parameters: number;
	ours: SideFacts;
	torch: SideFacts | null;
	/** Our side with every activation kept; only where `ours` recomputes. */
	plain: SideFacts | null;
	/** Of the first step on equal weights, relative to PyTorch's. */
	lossGap: number | null;
	normGap: number | null;
	loss: number;
	norm: number;
	/** Longest wait of our event loop while steps ran, ms. */
	loopDelay: number;
	segments: number;
	accumulate: number;
	ops: OpTime[];
	/** Measured with the first model only: best large product, GFLOP/s. */
	peak?: { ours: number; torch: number | null };
}

/** What is measured, and how often. */
export interface MeasureOptions {
	folder: string;
	model: ModelName;
	mode: Mode;
	threads: number;
	rounds: number;
	steps: number;
	profile: boolean;
	python: string | undefined;
	accumulate: number;
	/** Whether our side recomputes: then it runs without as well. */
	recompute: boolean;
}

/** Rounds of one side as they come. */
class Rounds {
	readonly side: Side;
	readonly answers: StepAnswer[] = [];
	#cpu = 0;

	constructor(side: Side) {
		this.side = side;
	}

	/** Takes steps; those of the first call, in which each side sets itself up, are not timed. */
	async take(count: number): Promise<void> {
		const before = (await this.side.facts()).cpuSeconds;
		this.answers.push(await this.side.step(count));
		if (this.answers.length > 1)
			this.#cpu += (await this.side.facts()).cpuSeconds - before;
	}

	get first(): StepFacts {
		return this.answers[0]?.steps[0] as StepFacts;
	}

	async facts(): Promise<SideFacts> {
		const times = this.answers
			.slice(1)
			.flatMap(({ steps }) => steps.map((s) => s.ms));
		const { peakRss } = await this.side.facts();
		return {
			ms: median(times),
			low: quantile(times, 0.25),
			high: quantile(times, 0.75),
			cpuMs: (1e3 * this.#cpu) / times.length,
			memory: peakRss - this.side.idle,
			whole: peakRss,
		};
	}
}

/** Both sides of one task in alternating rounds; only ours when `python` is missing. */
export async function measure(
	o: MeasureOptions,
	signal: AbortSignal,
): Promise<Measured> {
	const sides: Rounds[] = [];
	const begin = async (which: { python?: string; plain?: boolean } = {}) => {
		const made = new Rounds(
			await Side.start(o.folder, o.threads, signal, which),
		);
		sides.push(made);
		return made;
	};
	try {
		const ours = await begin();
		const plain = o.recompute ? await begin({ plain: true }) : undefined;
		const torch = o.python ? await begin({ python: o.python }) : undefined;
		for (let round = 0; round <= o.rounds; round++)
			for (const side of sides) await side.take(round ? o.steps : 2);
		const { loss, norm } = ours.first;
		const gap = (a: number, b: number | undefined) =>
			b === undefined ? null : Math.abs(a - b) / Math.abs(b);
		const row: Measured = {
			model: o.model,
			mode: o.mode,
			parameters: ours.side.parameters,
			ours: await ours.facts(),
			torch: (await torch?.facts()) ?? null,
			plain: (await plain?.facts()) ?? null,
			lossGap: gap(loss, torch?.first.loss),
			normGap: gap(norm, torch?.first.norm),
			loss,
			norm,
			loopDelay: Math.max(...ours.answers.map((a) => a.loopDelay ?? 0)),
			segments: ours.answers[0]?.segments ?? 1,
			accumulate: o.accumulate,
			ops: [],
		};
		// After the peaks were read: both need memory of their own.
		row.peak = {
			ours: await ours.side.matmul(),
			torch: (await torch?.side.matmul()) ?? null,
		};
		if (o.profile) row.ops = await ours.side.profile();
		return row;
	} finally {
		for (const { side } of sides) await side.stop();
	}
}
