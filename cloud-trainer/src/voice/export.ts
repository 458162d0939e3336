import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type {
	BundleMeta,
	BundleSource,
	Manifest,
	PrivateKey,
} from "@wattvox/bundle";
import { hashBytes, writeBundle } from "@wattvox/bundle";
import type { EnergyPassport } from "@wattvox/energy";
import { encodeModel, halveWeights } from "@wattvox/onnx";
import {
	makeGolden,
	Voice,
	type VoiceConfig,
	type VoiceFiles,
} from "@wattvox/synth";
import { ADAPTER_CONFIG, ADAPTER_MODEL, readPeft } from "../lora/peft.ts";
import { type Base, readWeights } from "../pretrain/base.ts";
import { edgeGraphs, voiceConfig } from "./edge.ts";
import { checkExport, type ExportCheck } from "./export-check.ts";
import { RUN, type VoiceRun } from "./run.ts";

/** Sentences that a device speaks before a voice becomes active. */
export const GOLDEN_SENTENCES: readonly string[] = [
	"The quick train leaves the station at seven.",
	"Please check the voltage before you open the door.",
];

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
 * @throws WattvoxError E_MODEL when the export does not match the training graph, E_TENSORRT_OP when
 *   TensorRT would not take its graphs; E_OUTPUT, E_DISK_FULL
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
			// A sum that lacks a part that nobody knows is not known.
			trainWh: o.passport.without ? null : o.passport.wattHours,
			gCO2e: o.passport.without ? null : o.passport.gramsCO2e,
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
