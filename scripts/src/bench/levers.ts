import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs, promisify } from "node:util";
import { openRun, prepareRun } from "@wattvox/cloud-trainer";
import {
	catchInterrupts,
	formatSeconds,
	table,
	WattvoxError,
	writeAtomic,
} from "@wattvox/core";
import type { LeverResult, LeverTask } from "./lever-child.ts";
import { best, goals, type LeverRow } from "./lever-goals.ts";
import { chosen, USUAL, VARIANTS, type Variant } from "./lever-variants.ts";
import { formatMachine, machineFacts } from "./machine.ts";

const USAGE = `npm run bench -- levers --clip FILE.wav --text FILE.txt --base DIR [options]

Every switch of \`wattvox train\` alone, each in a process of its own: time, peak memory above what the
process held when it was ready for its first step, energy, held-out log-mel L1; then the goals of
training, met or missed. "plain" is what \`train\` does by default, "full" trains every product of the teacher,
"all together" is \`wattvox train --lean\` until it is as near as "full" was at its best. On the CPU, ONNX
Runtime computes mixed precision in float32: its row shows that it trains, not what it saves.
About ten minutes on two quiet cores.

  --steps N      at most, where a variant names no number of its own (default 160)
  --threads N    of one operator (default 2)
  --seed N       of everything random in every training (default 1): the differences between two seeds
                 say what a difference between two rows is worth
  --only NAMES   with commas: ${USUAL.join(", ")};
                 and other settings of "full", left out unless named: ${Object.keys(
										VARIANTS,
									)
										.filter((name) => !USUAL.includes(name))
										.join(", ")}
  --out DIR      keep every result here: the same command goes on where it was interrupted
  --json         for programs
`;

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
			seed: { type: "string", default: "1" },
			only: { type: "string" },
			out: { type: "string" },
			json: { type: "boolean", default: false },
			help: { type: "boolean", default: false },
		},
	});
	if (o.help) return void process.stdout.write(USAGE);
	const { clip, text: transcript, base } = o;
	if (!clip || !transcript || !base) throw new WattvoxError("E_USAGE", USAGE);
	const asked = o.only?.split(",").map((n) => n.trim()) ?? USUAL;
	for (const name of asked)
		if (!Object.hasOwn(VARIANTS, name))
			throw new WattvoxError("E_USAGE", `no lever ${name}\n\n${USAGE}`);
	const interrupts = catchInterrupts();
	const dir = o.out ?? (await mkdtemp(join(tmpdir(), "wattvox-levers-")));
	const rows: LeverRow[] = [];
	try {
		const of = await digest(clip, transcript, base);
		const voice = join(dir, of);
		await prepared(voice, { clip, text: transcript, base }, interrupts.signal);
		for (const lever of chosen(asked)) {
			const variant = VARIANTS[lever] as Variant;
			const task = taskOf(variant, rows, {
				run: voice,
				steps: Number(o.steps),
				threads: Number(o.threads),
				seed: Number(o.seed),
			});
			const result = await once(voice, lever, task, interrupts.signal);
			rows.push({ lever, against: variant.against, ...result });
		}
		const found = goals(rows);
		if (o.json)
			return void process.stdout.write(
				`${JSON.stringify({ machine: machineFacts(), rows, goals: found })}\n`,
			);
		process.stdout.write(`${text(rows)}\n`);
	} finally {
		interrupts.stop();
		if (!o.out) await rm(dir, { recursive: true, force: true });
	}
}

/** What the rows of one folder have in common: recording, transcript and weights. */
async function digest(
	clip: string,
	text: string,
	base: string,
): Promise<string> {
	const hash = createHash("sha256");
	const weights = ["base.json", "teacher.onnx", "student.onnx"];
	for (const path of [clip, text, ...weights.map((name) => join(base, name))])
		hash.update(
			await readFile(path).catch((cause) => {
				throw new WattvoxError("E_FILE_MISSING", `there is no ${path}`, {
					cause,
				});
			}),
		);
	return hash.digest("hex").slice(0, 16);
}

/** Prepares the clip unless that is done. */
async function prepared(
	out: string,
	from: { clip: string; text: string; base: string },
	signal: AbortSignal,
): Promise<void> {
	const there = await openRun(out).catch(() => undefined);
	if (!there) await prepareRun({ ...from, out, name: "bench", signal });
}

function taskOf(
	v: Variant,
	rows: readonly LeverRow[],
	given: Pick<LeverTask, "run" | "steps" | "threads" | "seed">,
): LeverTask {
	const { against: _, after: __, tuning: ___, reach, ...variant } = v;
	const goal = rows.find((r) => r.lever === reach);
	const until = goal && best(goal)?.mel;
	return {
		...given,
		model: "teacher",
		...variant,
		...(until !== undefined && { until }),
	};
}

/** A variant's result: the one that is kept for the very same task, or a measurement. */
async function once(
	dir: string,
	lever: string,
	task: LeverTask,
	signal: AbortSignal,
): Promise<LeverResult> {
	const name = `${lever.replaceAll(/[^a-z0-9]+/g, "-")}-${task.seed}.json`;
	const path = join(dir, name);
	const same = JSON.stringify({ ...task, run: resolve(task.run) });
	const kept = await readFile(path, "utf8").then(JSON.parse, () => undefined);
	if (kept?.task === same) {
		process.stderr.write(`${lever}: measured before\n`);
		return kept.result as LeverResult;
	}
	const child = fileURLToPath(new URL("./lever-child.js", import.meta.url));
	process.stderr.write(`${lever} ...\n`);
	const { stdout } = await promisify(execFile)(
		process.execPath,
		["--expose-gc", child, JSON.stringify(task)],
		{ signal, maxBuffer: 1 << 24 },
	);
	const result = JSON.parse(stdout) as LeverResult;
	process.stderr.write(
		`${lever}: ${result.steps} steps in ${formatSeconds(result.seconds)}\n`,
	);
	await writeAtomic(path, JSON.stringify({ task: same, result }));
	return result;
}

/** A figure and its ratio to the one it is compared with. */
function beside(value: number | null, other: number | null, digits: number) {
	if (value === null) return "unknown";
	const ratio = other ? ` (${(value / other).toFixed(2)} x)` : "";
	return `${value.toFixed(digits)}${ratio}`;
}

const WORD = { true: "yes", false: "NO", null: "unknown" } as const;

function text(rows: readonly LeverRow[]): string {
	const lines = rows.map((r) => {
		const other = rows.find((x) => x.lever === r.against && x !== r);
		const label = r.measured ? "" : "est. ";
		const low = best(r);
		return [
			r.lever,
			other ? r.against : "",
			`${((100 * r.parameters) / r.size).toFixed(1)} %`,
			String(r.steps),
			beside(r.stepMs, other?.stepMs ?? null, 0),
			beside(r.seconds, other?.seconds ?? null, 1),
			beside(r.peak / 1e6, other ? other.peak / 1e6 : null, 0),
			label + beside(r.joules, other?.joules ?? null, 0),
			low ? `${low.mel.toFixed(3)} at ${low.step}` : "unknown",
		];
	});
	const head = ["lever", "beside", "trained", "steps", "ms a step", "seconds"];
	const rest = ["peak MB", "joules", "held-out log-mel L1"];
	return [
		formatMachine(machineFacts()),
		table(
			[...head, ...rest],
			lines,
			lines[0]?.map((_, i) => (i < 2 ? "left" : "right")),
		),
		table(
			["goal", "found", "met"],
			goals(rows).map((g) => [g.goal, g.found, WORD[`${g.met}`]]),
		),
	].join("\n\n");
}
