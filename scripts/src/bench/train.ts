import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { ADAMW } from "@wattvox/cloud-trainer";
import { catchInterrupts, WattvoxError } from "@wattvox/core";
import { encodeSafetensors, type Tensor } from "@wattvox/onnx";
import { machineFacts } from "./machine.ts";
import type { TaskFile } from "./train/child.ts";
import { type Measured, measure } from "./train/measure.ts";
import {
	MODELS,
	MODES,
	type Mode,
	type ModelName,
	PARTS,
	SIZES,
	TINY,
	trainTask,
} from "./train/models.ts";
import { report } from "./train/report.ts";
import { findTorch, type TorchPython } from "./train/sides.ts";

const USAGE = `npm run bench -- train [options]

One optimiser step (forward, backward, clipping, AdamW) of our trainer and of PyTorch eager on the same
model, weights, batch and threads, each in a process of its own, in alternating rounds: time, processor
time, peak memory above what the process held when it was ready for its first step, and whether loss and gradient
norm are equal. Then where our time goes, operator by operator, against the machine's best product.

  --models NAMES    with commas: ${MODELS.join(", ")} (default all)
  --modes NAMES     lora, full (default both)
  --threads N       on both sides (default 2)
  --rounds N        of each side, alternating (default 5)
  --steps N         in a round (default 2)
  --python FILE     a python3 that has torch (default: python3 in PATH, then /usr/bin/python3)
  --accumulate N    parts that our side computes a batch in (default ${Object.entries(
		PARTS,
	)
		.map(([name, n]) => `${name} ${n}`)
		.join(", ")};
                    1 with --segments or --memory)
  --segments N      our side computes activations again, in so many segments; it also runs without, and
                    what that costs and saves is printed
  --memory MB       the same with segments chosen to stay below so many MB
  --no-profile      leave the operators out
  --size tiny       sizes for a test
  --json            for programs
`;

/** Everything that the command measured. */
export interface TrainBench {
	machine: ReturnType<typeof machineFacts>;
	threads: number;
	torch: TorchPython | null;
	/** Best large product, GFLOP/s. */
	peak: { ours: number; torch: number | null };
	rows: Measured[];
}

const listOf = <T extends string>(
	text: string | undefined,
	all: readonly T[],
): T[] => {
	const names = text?.split(",").map((n) => n.trim()) ?? [...all];
	for (const name of names)
		if (!all.includes(name as T))
			throw new WattvoxError("E_USAGE", `no ${name}\n\n${USAGE}`);
	return names as T[];
};

/** `bench train`: our step against PyTorch's. */
export async function run(argv: string[]): Promise<void> {
	const { values: o } = parseArgs({
		args: argv,
		allowNegative: true,
		options: {
			models: { type: "string" },
			modes: { type: "string" },
			threads: { type: "string", default: "2" },
			rounds: { type: "string", default: "5" },
			steps: { type: "string", default: "2" },
			python: { type: "string" },
			accumulate: { type: "string" },
			segments: { type: "string" },
			memory: { type: "string" },
			profile: { type: "boolean", default: true },
			size: { type: "string", default: "full" },
			json: { type: "boolean", default: false },
			help: { type: "boolean", default: false },
		},
	});
	if (o.help) return void process.stdout.write(USAGE);
	const [threads, rounds, steps] = [o.threads, o.rounds, o.steps].map(Number);
	const parts = [o.accumulate, o.segments, o.memory].map((v) => Number(v ?? 1));
	if (![threads, rounds, steps, ...parts].every((n) => Number(n) >= 1))
		throw new WattvoxError("E_USAGE", USAGE);
	const settings = {
		threads: Number(threads),
		rounds: Number(rounds),
		steps: Number(steps),
		profile: o.profile,
	};
	const sizes = o.size === "tiny" ? TINY : SIZES;
	const torch = await findTorch(
		o.python ? [o.python] : ["python3", "/usr/bin/python3"],
	);
	const note = (line: string) => void process.stderr.write(`${line}\n`);
	if (!torch) note("no python3 with torch here: only our side is timed");
	const interrupts = catchInterrupts();
	const dir = await mkdtemp(join(tmpdir(), "wattvox-train-"));
	const result: TrainBench = {
		machine: machineFacts(),
		threads: settings.threads,
		torch: torch ?? null,
		peak: { ours: Number.NaN, torch: null },
		rows: [],
	};
	try {
		for (const model of listOf<ModelName>(o.models, MODELS))
			for (const mode of listOf<Mode>(o.modes, MODES)) {
				note(`${model}, ${mode} ...`);
				const recompute = !!(o.segments ?? o.memory);
				const accumulate = Number(
					o.accumulate ?? (recompute ? 1 : PARTS[model]),
				);
				await writeTask(dir, {
					model,
					mode,
					sizes,
					threads: settings.threads,
					rate: 1e-3,
					adamw: ADAMW,
					accumulate,
					...(o.segments && { segments: Number(o.segments) }),
					...(o.memory && { memory: Number(o.memory) * 1e6 }),
				});
				const row = await measure(
					{
						folder: dir,
						model,
						mode,
						...settings,
						python: torch?.path,
						accumulate,
						recompute,
					},
					interrupts.signal,
				);
				result.rows.push(row);
				if (row.peak) result.peak = row.peak;
			}
		process.stdout.write(
			o.json ? `${JSON.stringify(result)}\n` : `${report(result)}\n`,
		);
	} finally {
		interrupts.stop();
		await rm(dir, { recursive: true, force: true });
	}
}

/** Writes what both sides read: the settings, and weights and batch as safetensors. */
async function writeTask(
	dir: string,
	task: Omit<TaskFile, "trainable">,
): Promise<void> {
	const { graph, batch, trainable } = trainTask(
		task.model,
		task.mode,
		task.sizes,
	);
	const tensors = new Map<string, Tensor>();
	for (const [name, t] of graph.initializers)
		if (t.dtype === "float32" && !/const_\d+$/.test(name))
			tensors.set(`w:${name}`, t);
	for (const [name, t] of Object.entries(batch)) tensors.set(`b:${name}`, t);
	await writeFile(join(dir, "task.safetensors"), encodeSafetensors(tensors));
	const file: TaskFile = { ...task, trainable };
	await writeFile(join(dir, "task.json"), JSON.stringify(file));
}
