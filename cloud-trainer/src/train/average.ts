import type { Tensor } from "@wattvox/onnx";
import type { Stepper } from "./stepper.ts";

/** In front of the names of averaged parameters in a checkpoint; no name of ONNX begins like this. */
const AVERAGE = "average/";

/**
 * A moving average of the parameters over the last steps (Polyak and Juditsky 1992). At a rate that does
 * not fall the steps dance around what is best; their mean lies nearer to it than any of them. After
 * step t:
 *
 *   mean = d mean + (1 - d) parameters,   d = min(decay, t / (t + 3))
 *
 * so that the first steps, which know little, are soon forgotten.
 */
export class WeightAverage {
	readonly #decay: number;
	#mean: Map<string, Tensor> | undefined;

	/** @param state of a checkpoint, to go on with the average that it holds */
	constructor(decay: number, state?: ReadonlyMap<string, Tensor>) {
		this.#decay = decay;
		this.#mean = state && averageIn(state);
	}

	/** Takes in the parameters after a step, counted from 1; the tensors are this object's from then on. */
	add(parameters: Map<string, Tensor>, step: number): void {
		if (!this.#mean) {
			this.#mean = parameters;
			return;
		}
		const d = Math.min(this.#decay, (step - 1) / (step + 2));
		for (const [name, { data }] of this.#mean) {
			const mean = data as Float32Array;
			const now = parameters.get(name)?.data as Float32Array;
			for (let i = 0; i < mean.length; i++)
				mean[i] = d * (mean[i] as number) + (1 - d) * (now[i] as number);
		}
	}

	/** The mean as it is now; empty before the first step. */
	copy(): Map<string, Tensor> {
		return new Map(
			[...(this.#mean ?? [])].map(([name, t]) => [
				name,
				{ ...t, data: t.data.slice() as Float32Array },
			]),
		);
	}

	/** What a checkpoint keeps of it, beside the state. */
	saved(): Map<string, Tensor> {
		return new Map(
			[...(this.#mean ?? [])].map(([name, t]) => [`${AVERAGE}${name}`, t]),
		);
	}

	/** Does something with a stepper whose parameters are the mean for so long. */
	async during<T>(stepper: Stepper, work: () => Promise<T>): Promise<T> {
		const mean = this.copy();
		const own = await stepper.state([...mean.keys()]);
		await stepper.load(mean);
		try {
			return await work();
		} finally {
			await stepper.load(own);
		}
	}
}

/** The averaged parameters that a checkpoint's state holds; undefined: none. */
export function averageIn(
	state: ReadonlyMap<string, Tensor>,
): Map<string, Tensor> | undefined {
	const mean = new Map<string, Tensor>();
	for (const [name, t] of state)
		if (name.startsWith(AVERAGE)) mean.set(name.slice(AVERAGE.length), t);
	return mean.size ? mean : undefined;
}
