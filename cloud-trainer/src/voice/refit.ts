import type { AcousticConfig } from "@wattvox/models";
import {
	encodeModel,
	type Graph,
	mergeIntoWeights,
	type Tensor,
} from "@wattvox/onnx";
import { createEngine } from "@wattvox/runtime";
import { withWeights } from "../pretrain/base.ts";
import type { Feeds } from "../train/parts.ts";
import type { VoiceData } from "./adapt-options.ts";
import { LAST } from "./head-start.ts";
import { bringLast, solvedLast } from "./opening.ts";

/** An adapted model whose last layer is to be solved again. */
export interface Refit {
	config: AcousticConfig;
	/** Of the base, all of them. */
	weights: ReadonlyMap<string, Tensor>;
	/** PEFT tensors, and what multiplies B A. */
	adapter: ReadonlyMap<string, Tensor>;
	scale: number;
	voice: VoiceData;
	/** The loss that was trained, on the base's weights, with a scalar output `loss`. */
	graph: Graph;
	validation: readonly Feeds[];
	threads: number;
}

/** The adapter with its last layer solved again. */
export interface Refitted {
	/** The given one when held-out sentences' log-mels are further away with the solved layer. */
	adapter: Map<string, Tensor>;
	/** Mean scalars over the validation feeds; undefined without any, and where nothing changed. */
	values: Record<string, number> | undefined;
	/** Of each sentence the rows that the last layer reads, which no change of that layer changes. */
	hidden: readonly Float32Array[];
}

/**
 * Solves the last layer once more when training is over, in closed form on the adapted model's hidden rows.
 * Steps on a few sentences leave that layer behind the ones before it; its best answer to where they have
 * come costs one pass over the clip.
 * The loss does not decide whether it is kept: its weight on the spread of spectra, which falls a little, is
 * what a calibration sets right afterwards.
 */
export async function refitted(r: Refit): Promise<Refitted> {
	const whole = mergeIntoWeights(r.weights, r.adapter, r.scale);
	const last = await solvedLast(r.config, whole, r.voice, r.threads);
	const adapter = new Map(r.adapter);
	const { hidden } = last;
	if (!last.better) return { adapter, values: undefined, hidden };
	bringLast(adapter, last.w, last.b);
	const graph = withWeights(
		r.graph,
		new Map([...whole, [LAST.weight, last.w], [LAST.bias, last.b]]),
	);
	const values = await heldOut(graph, r.validation, r.threads);
	return { adapter, values, hidden };
}

/** The mean of a graph's scalar outputs over feeds. */
async function heldOut(
	graph: Graph,
	validation: readonly Feeds[],
	threads: number,
): Promise<Record<string, number> | undefined> {
	if (validation.length === 0) return undefined;
	const engine = await createEngine(encodeModel(graph), { threads });
	try {
		const values: Record<string, number> = {};
		for (const feeds of validation) {
			const said = await engine.run(
				Object.fromEntries(
					engine.inputs.map(({ name }) => [name, feeds[name] as Tensor]),
				) as never,
			);
			for (const [name, t] of Object.entries(said))
				if (t.data.length === 1)
					values[name] =
						(values[name] ?? 0) + Number(t.data[0]) / validation.length;
		}
		return values;
	} finally {
		await engine.dispose();
	}
}
