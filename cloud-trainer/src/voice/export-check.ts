import { join } from "node:path";
import { WattvoxError } from "@wattvox/core";
import { CONTENT, LATENT } from "@wattvox/models";
import {
	encodeModel,
	type Graph,
	halveWeights,
	mergeIntoWeights,
	mergeLora,
	type Tensor,
	toTensorrt,
	widenWeights,
} from "@wattvox/onnx";
import { createEngine } from "@wattvox/runtime";
import { acousticBatch } from "../data/acoustic-batch.ts";
import { StepRandom } from "../data/random.ts";
import { BLANK, teacherOutputs } from "../graphs/acoustic.ts";
import { vocoderGraph } from "../graphs/vocoder.ts";
import { readPeft } from "../lora/peft.ts";
import { readWeights, withWeights } from "../pretrain/base.ts";
import { edgeGraphs } from "./edge.ts";
import { RUN, type VoiceRun } from "./run.ts";

/** How the edge graphs compare with the training graph on the same input. */
export interface ExportCheck {
	/** Largest |difference| of log durations, nepers. */
	logDuration: number;
	/** Largest |difference| of samples; full scale is 1. */
	wave: number;
}

/** What an export may differ by: half-precision weights against the same weights in training's graph. */
export const EXPORT_TOLERANCE: ExportCheck = { logDuration: 1e-3, wave: 2e-3 };

/**
 * Compares the exported graphs with the graph that was trained, on one segment of the clip with its
 * own durations and no noise: as ONNX Runtime runs them, and as TensorRT 8.5's builder is given them.
 * @throws WattvoxError E_TENSORRT_OP when TensorRT would not take them; E_MODEL when they differ by more
 *   than {@link EXPORT_TOLERANCE}
 */
export async function checkExport(run: VoiceRun): Promise<ExportCheck> {
	const adapter = await readPeft(join(run.dir, RUN.studentAdapter));
	const baseWeights = await readWeights(run.baseDir, "student");
	const acoustic = mergeIntoWeights(
		baseWeights,
		adapter.tensors,
		adapter.scale,
	);
	const vocoderWeights = await readWeights(run.baseDir, "vocoder");
	const edge = edgeGraphs(run.base, "student", baseWeights, vocoderWeights);
	const segment = run.segments[0];
	if (!segment) throw new WattvoxError("E_BUG", "the run has no segments");
	const batch = acousticBatch(
		[segment],
		{ size: 1, frames: segment.frames, edge: 0, posteriorShare: 0 },
		() => run.speaker,
		0,
		new StepRandom(0, 0),
	);
	const training = await createEngine(
		encodeModel(
			withWeights(teacherOutputs(run.base.student, BLANK, false), acoustic),
		),
	);
	const voice = await createEngine(
		encodeModel(withWeights(vocoderGraph(run.base.vocoder, 0), vocoderWeights)),
	);
	// As a device does it: the base's graphs in half precision, then the adapter merged in single.
	const onDevice = (graph: Graph) =>
		mergeLora(widenWeights(halveWeights(graph)), adapter.tensors, adapter.scale)
			.graph;
	const forms = [(graph: Graph) => graph, (g: Graph) => toTensorrt(g, "8.5")];
	const check: ExportCheck = { logDuration: 0, wave: 0 };
	try {
		const picked = Object.fromEntries(
			training.inputs.map((i) => [i.name, batch[i.name] as Tensor]),
		);
		const wanted = await training.run(picked as never);
		const wantedWave = await voice.run({ mel: wanted["t.mel"] } as never);
		for (const form of forms) {
			const made = await speakSegment(
				form(onDevice(edge.text)),
				form(onDevice(edge.decoder)),
				batch,
				segment,
			);
			check.logDuration = Math.max(
				check.logDuration,
				largestGap(wanted["t.log_duration"]?.data, made.logDuration),
			);
			check.wave = Math.max(
				check.wave,
				largestGap(wantedWave.wave?.data, made.wave),
			);
		}
		if (
			!(
				check.logDuration <= EXPORT_TOLERANCE.logDuration &&
				check.wave <= EXPORT_TOLERANCE.wave
			)
		)
			throw new WattvoxError(
				"E_MODEL",
				`the exported graphs differ from the trained one: log durations by ${check.logDuration}, samples by ${check.wave}`,
			);
		return check;
	} finally {
		await Promise.all([training, voice].map((e) => e.dispose()));
	}
}

/** The two edge graphs on one segment with its own durations and no noise. */
async function speakSegment(
	text: Graph,
	decoder: Graph,
	batch: Record<string, Tensor>,
	segment: { frames: number; durations: Int32Array },
): Promise<{ logDuration: unknown; wave: unknown }> {
	const textEngine = await createEngine(encodeModel(text));
	const decoderEngine = await createEngine(encodeModel(decoder));
	try {
		const said = await textEngine.run({
			phones: batch.phones,
			speaker: batch.speaker,
		} as never);
		const content = regulate(
			said.content?.data as Float32Array,
			segment.durations,
		);
		const made = await decoderEngine.run({
			content: {
				dtype: "float32",
				dims: [1, segment.frames, CONTENT],
				data: content,
			},
			position: batch.position,
			speaker: batch.speaker,
			noise: {
				dtype: "float32",
				dims: [1, segment.frames, LATENT],
				data: new Float32Array(segment.frames * LATENT),
			},
		} as never);
		return { logDuration: said.log_duration?.data, wave: made.wave?.data };
	} finally {
		await Promise.all([textEngine, decoderEngine].map((e) => e.dispose()));
	}
}

/** Content rows repeated by their durations. */
function regulate(content: Float32Array, durations: Int32Array): Float32Array {
	const frames = durations.reduce((a, d) => a + d, 0);
	const out = new Float32Array(frames * CONTENT);
	let row = 0;
	durations.forEach((d, t) => {
		for (let i = 0; i < d; i++, row++)
			out.set(content.subarray(t * CONTENT, (t + 1) * CONTENT), row * CONTENT);
	});
	return out;
}

function largestGap(a: unknown, b: unknown): number {
	const [x, y] = [a as Float32Array, b as Float32Array];
	let worst = x.length === y.length ? 0 : Number.POSITIVE_INFINITY;
	for (let i = 0; i < x.length; i++)
		worst = Math.max(worst, Math.abs((x[i] ?? 0) - (y[i] ?? 0)));
	return worst;
}
