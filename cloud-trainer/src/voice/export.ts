import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type {
	BundleMeta,
	BundleSource,
	Manifest,
	PrivateKey,
} from "@wattvox/bundle";
import { hashBytes, writeBundle } from "@wattvox/bundle";
import { WattvoxError } from "@wattvox/core";
import type { EnergyPassport } from "@wattvox/energy";
import { CONTENT, LATENT } from "@wattvox/models";
import {
	encodeModel,
	type Graph,
	halveWeights,
	mergeIntoWeights,
	mergeLora,
	type Tensor,
	widenWeights,
} from "@wattvox/onnx";
import { createEngine } from "@wattvox/runtime";
import {
	makeGolden,
	Voice,
	type VoiceConfig,
	type VoiceFiles,
} from "@wattvox/synth";
import { acousticBatch } from "../data/acoustic-batch.ts";
import { StepRandom } from "../data/random.ts";
import { teacherOutputs } from "../graphs/acoustic.ts";
import { vocoderGraph } from "../graphs/vocoder.ts";
import { ADAPTER_CONFIG, ADAPTER_MODEL, readPeft } from "../lora/peft.ts";
import { type Base, readWeights, withWeights } from "../pretrain/base.ts";
import { edgeGraphs, voiceConfig } from "./edge.ts";
import { RUN, type VoiceRun } from "./run.ts";

/** Sentences that a device speaks before a voice becomes active. */
export const GOLDEN_SENTENCES: readonly string[] = [
	"The quick train leaves the station at seven.",
	"Please check the voltage before you open the door.",
];

/** How the edge graphs compare with the training graph on the same input. */
export interface ExportCheck {
	/** Largest |difference| of log durations, nepers. */
	logDuration: number;
	/** Largest |difference| of samples; full scale is 1. */
	wave: number;
}

/** What an export may differ by: half-precision weights against the same weights in training's graph. */
export const EXPORT_TOLERANCE: ExportCheck = { logDuration: 1e-3, wave: 2e-3 };

/** The edge files of a voice in memory, without a bundle around them. */
export async function voiceFiles(
	run: VoiceRun,
	size: "student" | "teacher" = "student",
	adapterDir: string | undefined = size === "student"
		? RUN.studentAdapter
		: RUN.teacherAdapter,
): Promise<VoiceFiles> {
	return filesOf(
		run.base,
		run.baseDir,
		run.name,
		run.speaker,
		size,
		adapterDir && join(run.dir, adapterDir),
	);
}

/** The edge files of any speaker on a base; with no adapter it is the speaker embedding alone. */
export async function filesOf(
	base: Base,
	baseDir: string,
	name: string,
	speaker: Float32Array,
	size: "student" | "teacher",
	adapterDir?: string,
): Promise<VoiceFiles> {
	const graphs = edgeGraphs(
		base,
		size,
		await readWeights(baseDir, size),
		await readWeights(baseDir, "vocoder"),
	);
	const adapter = adapterDir ? await readPeft(adapterDir) : undefined;
	const config: VoiceConfig = {
		...voiceConfig(base, size, name, speaker),
		...(adapter
			? {
					adapter: {
						file: ADAPTER_MODEL,
						r: adapter.rank,
						alpha: adapter.alpha,
						scale: adapter.scale,
					},
				}
			: {}),
	};
	return {
		config,
		text: encodeModel(halveWeights(graphs.text)),
		decoder: encodeModel(halveWeights(graphs.decoder)),
		...(adapterDir
			? { adapter: await readFile(join(adapterDir, ADAPTER_MODEL)) }
			: {}),
	};
}

/**
 * Compares the exported graphs with the graph that was trained, on one segment of the clip with its
 * own durations and no noise.
 * @throws WattvoxError E_MODEL when they differ by more than {@link EXPORT_TOLERANCE}
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
			withWeights(teacherOutputs(run.base.student, 0, false), acoustic),
		),
	);
	const voice = await createEngine(
		encodeModel(withWeights(vocoderGraph(run.base.vocoder, 0), vocoderWeights)),
	);
	// As a device does it: the base's graphs in half precision, then the adapter merged in single.
	const edge = edgeGraphs(run.base, "student", baseWeights, vocoderWeights);
	const onDevice = (graph: Graph) =>
		encodeModel(
			mergeLora(
				widenWeights(halveWeights(graph)),
				adapter.tensors,
				adapter.scale,
			).graph,
		);
	const text = await createEngine(onDevice(edge.text));
	const decoder = await createEngine(onDevice(edge.decoder));
	try {
		const picked = Object.fromEntries(
			training.inputs.map((i) => [i.name, batch[i.name] as Tensor]),
		);
		const wanted = await training.run(picked as never);
		const wantedWave = await voice.run({ mel: wanted["t.mel"] } as never);
		const said = await text.run({
			phones: batch.phones,
			speaker: batch.speaker,
		} as never);
		const content = regulate(
			said.content?.data as Float32Array,
			segment.durations,
		);
		const made = await decoder.run({
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
		const check: ExportCheck = {
			logDuration: largestGap(
				wanted["t.log_duration"]?.data,
				said.log_duration?.data,
			),
			wave: largestGap(wantedWave.wave?.data, made.wave?.data),
		};
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
		await Promise.all([training, voice, text, decoder].map((e) => e.dispose()));
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

/** What an export needs beyond the run. */
export interface ExportOptions {
	key: PrivateKey;
	passport: EnergyPassport;
	/** Days until the bundle is no longer offered as an update; it may speak for ever. */
	validDays?: number;
	golden?: readonly string[];
	signal?: AbortSignal;
}

/**
 * Writes a run's voice as a signed bundle: the student base's two graphs (the same bytes for every
 * voice of that base), the adapter, the speaker, golden sentences and the energy passport.
 * @throws WattvoxError E_MODEL when the export does not match the training graph; E_OUTPUT, E_DISK_FULL
 */
export async function exportVoice(
	run: VoiceRun,
	out: string,
	o: ExportOptions,
): Promise<{
	digest: string;
	manifest: Manifest;
	check: ExportCheck;
	adapterBytes: number;
}> {
	const check = await checkExport(run);
	const files = await voiceFiles(run);
	const voice = await Voice.load(files);
	let golden: Uint8Array;
	try {
		golden = json(
			await makeGolden(voice, o.golden ?? GOLDEN_SENTENCES, run.base.audio, {
				signal: o.signal,
			}),
		);
	} finally {
		await voice.dispose();
	}
	const now = Date.now();
	const sources: BundleSource[] = [
		{ role: "text", name: "text.onnx", bytes: files.text },
		{ role: "decoder", name: "decoder.onnx", bytes: files.decoder },
		{
			role: "adapter",
			name: ADAPTER_MODEL,
			bytes: files.adapter as Uint8Array,
		},
		{
			role: "adapter",
			name: ADAPTER_CONFIG,
			path: join(run.dir, RUN.studentAdapter, ADAPTER_CONFIG),
		},
		{ role: "voice", name: "voice.json", bytes: json(files.config) },
		{ role: "golden", name: "golden.json", bytes: golden },
		{ role: "energy", name: "energy.json", bytes: json(o.passport) },
	];
	const meta: BundleMeta = {
		voice: run.name,
		language: run.base.language,
		sampleRate: run.base.audio.sampleRate,
		base: {
			name: run.base.name,
			digest: hashBytes(Buffer.concat([files.text, files.decoder])).sha256,
		},
		energy: {
			file: "energy.json",
			trainWh: o.passport.wattHours,
			gCO2e: o.passport.gramsCO2e,
			measured: o.passport.measured,
		},
		consent: { statement: run.consent },
		created: new Date(now).toISOString(),
		expires: new Date(now + (o.validDays ?? 365) * 86_400_000).toISOString(),
	};
	const written = await writeBundle(
		out,
		sources,
		meta,
		o.key,
		o.signal ? { signal: o.signal } : {},
	);
	return {
		...written,
		check,
		adapterBytes: (files.adapter as Uint8Array).length,
	};
}

const json = (value: unknown): Uint8Array =>
	Buffer.from(`${JSON.stringify(value, null, "\t")}\n`);
