import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { filesOf, readBase } from "@wattvox/cloud-trainer";
import { table } from "@wattvox/core";
import { decodeModel, encodeModel } from "@wattvox/onnx";
import { createEngine } from "@wattvox/runtime";
import { BASE_MEL } from "@wattvox/speech";
import { makeGolden, Voice } from "@wattvox/synth";
import {
	decoderModel,
	ENGINE_LIMIT_DB,
	engineGap,
	type GoldenRun,
	goldenRuns,
} from "@wattvox/synth/tensorrt";
import { printed } from "./printed.ts";
import { roundedGraph } from "./rounding-graph.ts";

const USAGE = `npm run bench -- rounding [options]

How far a decoder's sound is from ONNX Runtime's when its numbers are rounded as a GPU may round them: what
the limits that TensorRT's engines are held to were chosen by. A simulation in single precision, without a
GPU: kernels add in another order beside, and round in other places.

  --voices N   of the shipped base (default 4)
  --json       for programs
`;

const BASE = fileURLToPath(
	new URL("../../../models/base-en/", import.meta.url),
);
const SENTENCES = [
	"All is well.",
	"The kettle will boil in about three minutes, unless somebody opens the window.",
];

const WAYS = [
	{ what: "TF32 products", bits: 11, where: "products", held: "fp32" },
	{ what: "half, everywhere", bits: 11, where: "all", held: "fp16" },
	{ what: "bfloat16, everywhere", bits: 8, where: "all", held: "bf16" },
] as const;

/** The error of each way with each voice, dB of the signal. */
export interface RoundingBench {
	ways: { what: string; errorDb: number[]; held: string; limitDb: number }[];
}

export async function run(argv: string[]): Promise<void> {
	const { values } = parseArgs({
		args: argv,
		options: {
			voices: { type: "string", default: "4" },
			json: { type: "boolean", default: false },
			help: { type: "boolean", default: false },
		},
	});
	if (values.help) {
		process.stdout.write(USAGE);
		return;
	}
	const count = Number(values.voices);
	await printed(values.json, {
		measure: (note, signal) => measureRounding(count, note, signal),
		report: ({ ways }) =>
			table(
				["rounded", "error dB, voice by voice", "worst", "limit"],
				ways.map(({ what, errorDb, held, limitDb }) => [
					what,
					errorDb.map((e) => e.toFixed(1)).join(" "),
					Math.max(...errorDb).toFixed(1),
					`${limitDb} (${held})`,
				]),
			),
	});
}

/** @param count voices of the shipped base */
export async function measureRounding(
	count: number,
	note: (line: string) => void,
	signal: AbortSignal,
): Promise<RoundingBench> {
	const base = await readBase(BASE);
	const errors: number[][] = WAYS.map(() => []);
	for (const [name, speaker] of Object.entries(base.voices).slice(0, count)) {
		note(name);
		const row = Float32Array.from(speaker);
		const files = await filesOf(base, BASE, name, row, "student");
		const voice = await Voice.load(files);
		const golden = await makeGolden(voice, SENTENCES, BASE_MEL);
		await voice.dispose();
		const { merged } = await decoderModel(files, "10.3.0");
		const runs = await goldenRuns(files, golden, { signal });
		const graph = decodeModel(merged);
		for (const [i, { bits, where }] of WAYS.entries()) {
			const model = encodeModel(roundedGraph(graph, bits, where));
			errors[i]?.push(await errorOf(model, runs, signal));
		}
	}
	return {
		ways: WAYS.map(({ what, held }, i) => ({
			...{ what, held, limitDb: ENGINE_LIMIT_DB[held] },
			errorDb: errors[i] ?? [],
		})),
	};
}

async function errorOf(
	model: Uint8Array,
	runs: readonly GoldenRun[],
	signal: AbortSignal,
): Promise<number> {
	const engine = await createEngine(model, { signal });
	try {
		const waves: Float32Array[] = [];
		for (const { feeds } of runs) {
			const { wave } = await engine.run(feeds, { signal });
			waves.push(Float32Array.from(wave?.data as Float32Array));
		}
		return engineGap(runs, waves).errorDb;
	} finally {
		await engine.dispose();
	}
}
