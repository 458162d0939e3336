import { encodeModel, type Graph, type Tensor } from "@wattvox/onnx";
import { cosine } from "../metrics/stats.ts";
import type { Feeds } from "./parts.ts";
import { subgraph } from "./prune.ts";
import type { Stepper } from "./stepper.ts";

/** Watches whether a model still means what the base meant. */
export interface DriftOptions {
	/** The value whose mean over all axes between the first and the last is the sentence's vector. */
	output: string;
	/** Probes, each fed by itself. */
	feeds: readonly Feeds[];
	/** Below this mean cosine the run is warned, at each validation. */
	warn: number;
	/** Below this one it ends. */
	stop?: number;
	onDrift?: (report: DriftReport) => void;
}

/** How far the vectors have turned away from the base's. */
export interface DriftReport {
	step: number;
	/** Cosine to the base's vector: the mean over the probes, and the lowest. */
	mean: number;
	lowest: number;
	verdict: "fine" | "warn" | "stop";
}

const PROGRAM = "train.drift";
const BASE = "train.drift.base";

/** Mean over all axes but the first and the last, of a single sentence: [1, ..., C] to C numbers. */
export function sentenceVector(t: Tensor): Float64Array {
	const width = t.dims.at(-1) ?? 1;
	const out = new Float64Array(width);
	const data = t.data as Float32Array;
	const rows = data.length / width;
	for (let i = 0; i < data.length; i++)
		out[i % width] = (out[i % width] ?? 0) + (data[i] ?? 0) / rows;
	return out;
}

/** The cosine of sentence vectors between the model in training and the one that training began with. */
export class DriftMonitor {
	readonly #o: DriftOptions;
	#base: Float64Array[] | undefined;
	#inputs: ReadonlySet<string> = new Set();

	constructor(o: DriftOptions) {
		this.#o = o;
	}

	/**
	 * The programs that a stepper needs for it.
	 * @param graph the model before training
	 * @param lifted the same with its trained weights as inputs
	 */
	programs(graph: Graph, lifted: Graph): Record<string, Uint8Array> {
		const model = (g: Graph) => encodeModel(subgraph(g, [this.#o.output]));
		this.#inputs = new Set(
			subgraph(graph, [this.#o.output]).inputs.map((v) => v.name),
		);
		return { [BASE]: model(graph), [PROGRAM]: model(lifted) };
	}

	/** Compares now. */
	async check(stepper: Stepper, step: number): Promise<DriftReport> {
		this.#base ??= await this.#vectors(stepper, BASE);
		const now = await this.#vectors(stepper, PROGRAM);
		const cosines = now.map((v, i) => cosine(v, this.#base?.[i] ?? []));
		const mean = cosines.reduce((a, b) => a + b, 0) / cosines.length;
		const verdict =
			mean < (this.#o.stop ?? Number.NEGATIVE_INFINITY)
				? "stop"
				: mean < this.#o.warn
					? "warn"
					: "fine";
		const report: DriftReport = {
			step,
			mean,
			lowest: Math.min(...cosines),
			verdict,
		};
		this.#o.onDrift?.(report);
		return report;
	}

	async #vectors(stepper: Stepper, program: string): Promise<Float64Array[]> {
		const out: Float64Array[] = [];
		for (const all of this.#o.feeds) {
			const feeds = Object.fromEntries(
				Object.entries(all).filter(([name]) => this.#inputs.has(name)),
			);
			const { outputs } = await stepper.run(program, feeds);
			out.push(sentenceVector(outputs[this.#o.output] as Tensor));
		}
		return out;
	}
}
