import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import {
	ADAPT,
	type Adapted,
	type AdaptOptions,
	adaptStudentDirectly,
	distil,
	fineTune,
	prepareRun,
	readWeights,
	writePeft,
} from "@wattvox/cloud-trainer";
import { catchInterrupts, facts, WattvoxError } from "@wattvox/core";
import { between, formatEnergy, Meter, openPowerSource } from "@wattvox/energy";

const USAGE = `npm run bench -- distil --clip FILE.wav --text FILE.txt --base DIR [options]

Two ways to a student's adapter for one voice, side by side: distilled from the adapted teacher
(whose own training is part of the bill), and trained on the clip directly. The same steps, rank
and learning rate; judged by log-mel L1 on held-out segments with their true durations.

  --steps N      at most (default ${ADAPT.steps})
  --threads N    of one operator (default 2)
  --keep DIR     keep the runs here, so that bench voice can judge both adapters
  --json         for programs
`;

/** One way's bill and result. */
interface Row {
	way: string;
	seconds: number;
	joules: number | null;
	measured: boolean;
	/** Held-out log-mel L1 (nepers) before any training, and at its best. */
	before: number;
	after: number;
	steps: number;
}

/** `bench distil`: does distillation earn its joules? */
export async function run(argv: string[]): Promise<void> {
	const { values: o } = parseArgs({
		args: argv,
		options: {
			clip: { type: "string" },
			text: { type: "string" },
			base: { type: "string" },
			steps: { type: "string", default: String(ADAPT.steps) },
			threads: { type: "string", default: "2" },
			keep: { type: "string" },
			json: { type: "boolean", default: false },
			help: { type: "boolean", default: false },
		},
	});
	if (o.help) return void process.stdout.write(USAGE);
	if (!o.clip || !o.text || !o.base) throw new WattvoxError("E_USAGE", USAGE);
	const interrupts = catchInterrupts();
	const dir = o.keep ?? (await mkdtemp(join(tmpdir(), "wattvox-distil-")));
	const { source } = await openPowerSource();
	const meter = new Meter(source);
	await meter.start(interrupts.signal);
	const rows: Row[] = [];
	/** Runs one training and books it; the first validation comes before the adapter has moved much. */
	const book = async (
		way: string,
		train: (request: Partial<AdaptOptions>) => Promise<Adapted>,
	): Promise<Adapted> => {
		const mel: number[] = [];
		const from = await meter.point();
		const done = await train({
			steps: Number(o.steps),
			threads: Number(o.threads),
			signal: interrupts.signal,
			onValidation: (_loss, _step, values) =>
				mel.push(values["loss.mel"] ?? Number.NaN),
		});
		interrupts.signal.throwIfAborted();
		const energy = between(from, await meter.point());
		rows.push({
			way,
			seconds: energy.seconds,
			joules: energy.joules,
			measured: source.describe().measured,
			before: mel[0] ?? Number.NaN,
			after: Math.min(...mel),
			steps: done.fit.steps,
		});
		return done;
	};
	try {
		const { run: voice } = await prepareRun({
			clip: o.clip,
			text: o.text,
			out: dir,
			base: o.base,
			name: "bench",
			signal: interrupts.signal,
		});
		await book("teacher LoRA", (r) => fineTune(voice, r));
		await book("student LoRA, distilled", (r) => distil(voice, r));
		const weights = await readWeights(voice.baseDir, "student");
		const direct = await book("student LoRA, direct", (r) =>
			adaptStudentDirectly(
				voice.base,
				weights,
				{ examples: voice.segments, speaker: voice.speaker },
				{ ...ADAPT, threads: 2, work: dir, ...r },
			),
		);
		await writePeft(
			join(dir, "direct-adapter"),
			direct.adapter,
			direct.lora,
			direct.adapted,
			voice.base.name,
		);
		if (o.json) return void process.stdout.write(`${JSON.stringify(rows)}\n`);
		process.stdout.write(`${text(rows)}\n`);
	} finally {
		await meter.stop();
		await source.close();
		if (!o.keep) await rm(dir, { recursive: true, force: true });
	}
}

function text(rows: readonly Row[]): string {
	const lines = facts(
		rows.map((r) => [
			r.way,
			`${r.steps} steps, ${r.seconds.toFixed(1)} s, ${formatEnergy({ joules: r.joules, coverage: 1, measured: r.measured })}, held-out log-mel L1 ${r.after.toFixed(3)} (first ${r.before.toFixed(3)})`,
		]),
	);
	const [teacher, distilled, direct] = rows;
	if (!teacher || !distilled || !direct) return lines;
	const cost = (teacher.seconds + distilled.seconds) / direct.seconds;
	return `${lines}\n\nteacher + distilled costs ${cost.toFixed(1)} times the direct way and reaches ${(distilled.after / direct.after).toFixed(2)} times its held-out distance`;
}
