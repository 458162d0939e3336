import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs, promisify } from "node:util";
import { prepareRun } from "@wattvox/cloud-trainer";
import { catchInterrupts, table, WattvoxError } from "@wattvox/core";
import type { LeverResult, LeverTask } from "./lever-child.ts";
import { formatMachine, machineFacts } from "./machine.ts";

type Variant = Pick<LeverTask, "levers"> &
	Partial<Pick<LeverTask, "size" | "patient">> & {
		/** The variant that it is compared with. */
		against: string;
	};

const DECODER = "/^decoder\\..*\\.w$/";

/** Each lever alone, beside what it is compared with. */
export const VARIANTS: Readonly<Record<string, Variant>> = {
	plain: { levers: {}, against: "plain" },
	recomputation: { levers: { memory: 1 }, against: "plain" },
	accumulation: { levers: { accumulate: 4 }, against: "plain" },
	mixed: { levers: { precision: "mixed" }, against: "plain" },
	"any-length": { levers: { anyLength: true }, against: "plain" },
	"no-early-stop": { levers: {}, patient: true, against: "plain" },
	dropout: { levers: { dropout: 0.1 }, against: "plain" },
	"lora-plus": { levers: { loraPlus: 4 }, against: "plain" },
	sampler: { levers: { sampler: true }, against: "plain" },
	full: {
		levers: { full: true, learningRate: 2e-4 },
		patient: true,
		against: "plain",
	},
	decoder: { levers: { targets: DECODER }, against: "plain" },
	"decoder, prefix kept": {
		levers: { targets: DECODER, batches: 16 },
		against: "decoder",
	},
	student: { levers: {}, size: "student", against: "plain" },
	"all together": {
		levers: { targets: DECODER, batches: 16, memory: 1 },
		size: "student",
		against: "full",
	},
};

const USAGE = `npm run bench -- levers --clip FILE.wav --text FILE.txt --base DIR [options]

Every switch of \`wattvox train\` alone, each in a process of its own: time, peak memory above what the
process held with weights and clip loaded, energy, held-out log-mel L1. On the CPU, ONNX Runtime
computes mixed precision in float32: its row shows that it trains, not what it saves.

  --steps N      at most (default 160)
  --threads N    of one operator (default 2)
  --only NAMES   with commas: ${Object.keys(VARIANTS).join(", ")}
  --json         for programs
`;

type Row = LeverResult & { lever: string; against: string };

/** `bench levers`: what each switch of training saves, and what it costs. */
export async function run(argv: string[]): Promise<void> {
	const { values: o } = parseArgs({
		args: argv,
		options: {
			clip: { type: "string" },
			text: { type: "string" },
			base: { type: "string" },
			steps: { type: "string", default: "160" },
			threads: { type: "string", default: "2" },
			only: { type: "string" },
			json: { type: "boolean", default: false },
			help: { type: "boolean", default: false },
		},
	});
	if (o.help) return void process.stdout.write(USAGE);
	if (!o.clip || !o.text || !o.base) throw new WattvoxError("E_USAGE", USAGE);
	const names =
		o.only?.split(",").map((n) => n.trim()) ?? Object.keys(VARIANTS);
	for (const name of names)
		if (!Object.hasOwn(VARIANTS, name))
			throw new WattvoxError("E_USAGE", `no lever ${name}\n\n${USAGE}`);
	const interrupts = catchInterrupts();
	const dir = await mkdtemp(join(tmpdir(), "wattvox-levers-"));
	const rows: Row[] = [];
	try {
		await prepareRun({
			clip: o.clip,
			text: o.text,
			out: dir,
			base: o.base,
			name: "bench",
			signal: interrupts.signal,
		});
		const child = fileURLToPath(new URL("./lever-child.js", import.meta.url));
		for (const lever of names) {
			const { levers, size, patient, against } = VARIANTS[lever] as Variant;
			process.stderr.write(`${lever} ...\n`);
			const task: LeverTask = {
				run: dir,
				size: size ?? "teacher",
				steps: Number(o.steps),
				threads: Number(o.threads),
				levers,
				...(patient && { patient }),
			};
			const { stdout } = await promisify(execFile)(
				process.execPath,
				[child, JSON.stringify(task)],
				{ signal: interrupts.signal, maxBuffer: 1 << 24 },
			);
			rows.push({ lever, against, ...(JSON.parse(stdout) as LeverResult) });
		}
		if (o.json)
			return void process.stdout.write(
				`${JSON.stringify({ machine: machineFacts(), rows })}\n`,
			);
		process.stdout.write(`${text(rows)}\n`);
	} finally {
		interrupts.stop();
		await rm(dir, { recursive: true, force: true });
	}
}

/** A figure and its ratio to the one it is compared with. */
function beside(value: number | null, other: number | null, digits: number) {
	if (value === null) return "unknown";
	const ratio = other ? ` (${(value / other).toFixed(2)} x)` : "";
	return `${value.toFixed(digits)}${ratio}`;
}

function text(rows: readonly Row[]): string {
	const lines = rows.map((r) => {
		const other = rows.find((x) => x.lever === r.against && x !== r);
		const label = r.measured ? "" : "est. ";
		return [
			r.lever,
			other ? r.against : "",
			String(r.parameters),
			String(r.steps),
			beside(r.stepMs, other?.stepMs ?? null, 0),
			beside(r.seconds, other?.seconds ?? null, 1),
			beside(r.peak / 1e6, other ? other.peak / 1e6 : null, 0),
			label + beside(r.joules, other?.joules ?? null, 0),
			beside(r.best, other?.best ?? null, 3),
		];
	});
	return `${formatMachine(machineFacts())}

${table(
	[
		"lever",
		"beside",
		"parameters",
		"steps",
		"ms a step",
		"seconds",
		"peak MB",
		"joules",
		"held-out log-mel L1",
	],
	lines,
	[
		"left",
		"left",
		"right",
		"right",
		"right",
		"right",
		"right",
		"right",
		"right",
	],
)}`;
}
